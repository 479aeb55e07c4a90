"""Compares ways to run a model by a short interleaved measurement, kept with its conditions.

All candidates are open at once and take turns, so that whatever disturbs the machine disturbs all
of them alike. The result is kept in the user's cache under everything that it depends on: device,
versions, files, batch, size and threads. How busy the machine was is kept with it: what was
measured next to other work, or on a battery, is measured again when the machine is quieter.
"""

import dataclasses
import hashlib
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from stargan_deploy.backends.base import Runtime
from stargan_deploy.backends.registry import package_names
from stargan_deploy.card.card import ModelCard, library_versions
from stargan_deploy.card.pixels import Pixels
from stargan_deploy.config import from_mapping
from stargan_deploy.devices import Device, num_cores
from stargan_deploy.disturbance import Disturbance, sample_disturbance, watch_disturbance
from stargan_deploy.errors import ConfigError, OutputError, StarganDeployError
from stargan_deploy.files.atomic import write_text
from stargan_deploy.files.cache import cache_folder

BUDGET_S = 2.0
"""Time that all timed calls together may take, in seconds."""

MIN_ROUNDS = 3
"""Rounds below which nothing is decided."""

MAX_ROUNDS = 15

NUM_FIRST_CALLS = 3
"""Calls of one row that tell how large a batch fits into the time, by the fastest of them."""

Seconds = Mapping[str, tuple[float, ...]]
"""Time of each round by candidate."""

_log = logging.getLogger(__name__)


Candidates = Mapping[str, Callable[[], Runtime]]
"""Ways to run a model: what opens each, by backend, precision and payload hash."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditions:
    """Everything that the result depends on, besides the candidates."""

    device: Device
    batch: int
    """Rows per call in use."""
    size: int
    """Side of the images in pixels."""

    def to_json(self, candidates: Candidates) -> dict[str, Any]:
        """The conditions as they are kept."""
        return {
            "device": str(self.device),
            "machine": self.device.name(),
            "threads": _num_threads(),
            "batch": self.batch,
            "size": self.size,
            "candidates": list(candidates),
            "versions": library_versions("numpy", *package_names()),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speeds:
    """Result of a measurement."""

    batch: int
    """Rows of a call that were measured: those in use, or fewer where these take too long."""
    seconds: Seconds
    disturbance: Disturbance = dataclasses.field(default_factory=Disturbance)
    """What else the machine did meanwhile."""

    def ranking(self) -> list[str]:
        """Candidates by their median, the fastest first."""
        return sorted(self.seconds, key=lambda name: statistics.median(self.seconds[name]))

    def is_faster(self, name: str, other: str) -> bool:
        """Whether a candidate won against another in more than three rounds of four."""
        rounds = list(zip(self.seconds[name], self.seconds[other], strict=True))
        return sum(own < its for own, its in rounds) > 0.75 * len(rounds)

    def describe(self, name: str, other: str) -> str:
        """How much faster a candidate is than another, with its spread."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        ratios = sorted(its / own for own, its in pairs)
        return (
            f"{statistics.median(ratios):.2g}x ({ratios[0]:.2g} to {ratios[-1]:.2g} in "
            f"{len(ratios)} rounds of batch {self.batch})"
        )


def compare_speed(candidates: Candidates, conditions: Conditions, *, keep: bool = True) -> Speeds:
    """Measure candidates, or take what was measured under the same conditions.

    A measurement that was disturbed counts only as long as the machine is no quieter than it was.

    Args:
        candidates: at least one; those that fail are left out of the result.
        conditions: what they run.
        keep: whether to write the result to the cache.

    Raises:
        StarganDeployError: the first candidate does not run.
    """
    kept = conditions.to_json(candidates)
    path = _path(kept)
    found = _read(path, kept)
    if found is not None and not _is_outdated(found.disturbance):
        return found
    _log.info("auto: comparing %d ways to run the model, once ...", len(candidates))
    with watch_disturbance() as watch:
        speeds = _measure(candidates, conditions)
    speeds = dataclasses.replace(speeds, disturbance=watch.found)
    if words := speeds.disturbance.words:
        _log.info("auto: %s meanwhile; a later run compares again when it is quieter", words)
    if keep:
        result = {
            "batch": speeds.batch,
            "seconds": speeds.seconds,
            "disturbance": dataclasses.asdict(speeds.disturbance),
        }
        with suppress(OutputError):  # then it is measured again
            write_text(path, json.dumps({"conditions": kept, **result}, indent=1) + "\n")
    return speeds


def _is_outdated(disturbance: Disturbance) -> bool:
    """Whether a measurement was disturbed, and the machine is quieter now."""
    return not disturbance.is_quiet and disturbance.is_worse_than(sample_disturbance())


def _measure(candidates: Candidates, conditions: Conditions) -> Speeds:
    with ExitStack() as stack:
        runtimes = dict[str, Runtime]()
        single = dict[str, float]()
        for name, open_runtime in candidates.items():
            try:
                runtime = stack.enter_context(open_runtime())
                calls = [_timed(runtime, 1, conditions.size) for _ in range(NUM_FIRST_CALLS)]
                single[name] = min(calls)
            except StarganDeployError as error:
                if not runtimes:
                    raise
                _log.warning("auto: not %s, which does not run: %s", name, error)
            else:
                runtimes[name] = runtime
        batch = _affordable(conditions.batch, sum(single.values()))
        first_s = sum(_timed(runtime, batch, conditions.size) for runtime in runtimes.values())
        if first_s > BUDGET_S / MIN_ROUNDS:  # the machine is busy
            batch = _affordable(batch, first_s / batch)
        return Speeds(batch=batch, seconds=_rounds(runtimes, batch, conditions.size))


def _affordable(batch: int, round_s_per_row: float) -> int:
    """The batch, or the largest smaller one of which `MIN_ROUNDS` and a first call fit in."""
    return max(1, min(batch, int(BUDGET_S / (MIN_ROUNDS + 1) / max(round_s_per_row, 1e-9))))


def _rounds(runtimes: Mapping[str, Runtime], batch: int, size: int) -> Seconds:
    """Time of a call by candidate and round; the order turns with every round.

    There are `MIN_ROUNDS` at least, so that no single disturbance decides.
    """
    end_s = time.perf_counter() + BUDGET_S
    seconds: dict[str, list[float]] = {name: [] for name in runtimes}
    names = list(runtimes)
    for number in range(MAX_ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds[name].append(_timed(runtimes[name], batch, size))
        if number + 1 >= MIN_ROUNDS and time.perf_counter() >= end_s:
            break
    return {name: tuple(found) for name, found in seconds.items()}


def _timed(runtime: Runtime, batch: int, size: int) -> float:
    """Seconds of a call, host to host."""
    from stargan_deploy.export.proof.cases import make_case

    name = runtime.card.main_entry_point
    point = runtime.card.entry_point(name)
    height, width = next(iter(point.sizes))
    shape = (batch, height.nearest(size), width.nearest(size))
    inputs = make_case(runtime.card.labels, shape, 0, _noise).inputs(point)
    start_s = time.perf_counter()
    runtime.run(inputs, entry_point=name)
    return time.perf_counter() - start_s


def _noise(number: int, height: int, width: int) -> Pixels:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def payload_of(card: ModelCard) -> str:
    """The hash of what a model's main entry point runs."""
    return card.entry_point(card.main_entry_point).payload_sha256


def _num_threads() -> str:
    """Processors of this process, and what the environment says about threads."""
    limits = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.endswith("_NUM_THREADS")]
    return " ".join((str(num_cores()), *limits))


def _path(conditions: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "speeds" / f"{digest[:24]}.json"


def _read(path: Path, conditions: Mapping[str, Any]) -> Speeds | None:
    """The measurement under the same conditions; None if there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["conditions"] != conditions:
            return None
        seconds = {str(n): tuple(map(float, s)) for n, s in found["seconds"].items()}
        if len({len(rounds) for rounds in seconds.values()}) != 1 or not all(seconds.values()):
            return None
        disturbance = from_mapping(Disturbance, found["disturbance"])
        return Speeds(batch=int(found["batch"]), seconds=seconds, disturbance=disturbance)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        return None
