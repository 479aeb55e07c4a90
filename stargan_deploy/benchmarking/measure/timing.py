"""Single-stream latency that can be trusted: warm-up, rounds, a stopping rule, statistics.

Several workloads (one for each row of a benchmark) are measured together. Each warms up until the
times of its calls agree. Then they take turns in rounds, one round forward and the next backward,
so that a drift of the machine's speed affects all alike (a steady one exactly, over two rounds). A
turn starts with a pause and calls that are not counted: the threads of the library that ran before
keep spinning on the cores for a while. Seen on two cores: right after onnxruntime, PyTorch's calls
took two to three times as long for 60 ms; after a pause of 100 ms only the first one was slower, by
a quarter.

The samples of a workload are stable when the medians of their three thirds, in order, agree within
5 %. With thirds of all samples, rather than the last three short windows, the statistics describe
the samples that were found stable, and a noisy workload needs more calls than a quiet one. A stable
workload stays with the others until all are stable or a limit is reached: if it dropped out, rows
would be measured at different times, and their ratios would show the drift in between.

Python's garbage collector is off during calls, as in `timeit`, and runs between rounds.
"""

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from stargan_deploy.benchmarking.measure.workloads import Clock, Workload
from stargan_deploy.benchmarking.results import Measured, Statistics, StopReason
from stargan_deploy.errors import StarganDeployError

AGREEMENT = 0.05
"""Largest difference between medians that agree, as a share of the smallest."""

NUM_WINDOWS = 3
"""Parts of the samples whose medians must agree, and the fewest rounds."""

WARM_UP_WINDOW_CALLS = 3
WARM_UP_WINDOW_S = 0.1
"""A warm-up ends when the medians of two successive windows, at least this long, agree."""

WARM_UP_SHARE = 1 / 3
"""Share of the budget for all warm-ups; time that one leaves goes to the next."""

PAUSE_S = 0.1
"""Pause at the start of a turn, in which threads that still spin go to sleep."""

LEAD_IN_S = 0.02
"""Time of the calls, at least one, after the pause, which are not counted and warm caches."""

SLOW_CALL_MS = 500.0
"""A call that takes longer needs no lead-in."""

TURN_S = 0.3
"""Time of the counted calls of a turn, at least one; less where the budget is short."""

NUM_ROUNDS = 4
"""Rounds that turns are kept short enough for, if calls are."""

NUM_TURNS = 10
"""Fewest turns over which a workload's calls are spread, however fast they are."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a measurement takes at most and at least."""

    budget_s: float = 60.0
    """Time for all workloads together, warm-ups included. Only the minimum for every workload can
    exceed it: the fewest calls of its warm-up, and a first turn of one counted call."""
    warm_up_calls: int = 3
    """Fewest calls of a warm-up."""
    least_calls: int = 30
    """Fewest counted calls that can be stable."""
    max_calls: int = 2000
    """Most counted calls of a workload."""

    def __post_init__(self) -> None:
        if not self.budget_s > 0:
            raise ValueError(f"budget_s must be above 0, not {self.budget_s}")
        for name in ("warm_up_calls", "least_calls", "max_calls"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The outcome by the names of the workloads; each is in one of the two."""

    measured: dict[str, Measured]
    failed: dict[str, StarganDeployError]
    """Workloads that raised an error; the others continued."""


def measure(
    workloads: Sequence[Workload], limits: Limits | None = None, clock: Clock | None = None
) -> Measurement:
    """Measures workloads together, as the module's docstring describes.

    Args:
        workloads: what to measure, with distinct names.
        limits: how long.
        clock: tells the time.
    """
    limits, clock = limits or Limits(), clock or Clock()
    tracks = [_Track(workload, limits, clock) for workload in workloads]
    assert len({workload.name for workload in workloads}) == len(workloads), "names repeat"
    start = clock.now_ns()
    with collector_off():
        for number, track in enumerate(tracks, start=1):
            share = limits.budget_s * WARM_UP_SHARE * number / len(tracks)
            track.guarded(track.warm_up, start + int(share * 1e9))
        _take_rounds(tracks, clock, start + int(limits.budget_s * 1e9))
    return Measurement(
        measured={t.workload.name: t.measured() for t in tracks if t.error is None},
        failed={t.workload.name: t.error for t in tracks if t.error is not None},
    )


def summarize(samples_ms: Sequence[float]) -> Statistics:
    """The statistics of samples, at least one, in milliseconds."""
    samples = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p95, p99 = (float(p) for p in np.percentile(samples, (50, 90, 95, 99)))
    return Statistics(
        num=samples.size,
        mean_ms=float(samples.mean()),
        std_ms=float(samples.std(ddof=1)) if samples.size > 1 else 0.0,
        min_ms=float(samples.min()),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=float(samples.max()),
    )


def window_spread(samples_ms: Sequence[float]) -> float:
    """How far apart the medians of the three thirds of samples, in order, are.

    Args:
        samples_ms: at least three, above 0.

    Returns:
        The largest median over the smallest, minus 1.
    """
    return _spread([float(np.median(w)) for w in np.array_split(samples_ms, NUM_WINDOWS)])


@contextmanager
def collector_off() -> Iterator[None]:
    """Keeps Python's garbage collector from running inside a timed call."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _spread(medians: Sequence[float]) -> float:
    return max(medians) / max(min(medians), 1e-9) - 1  # a clock may be too coarse for a call


def _take_rounds(tracks: Sequence["_Track"], clock: Clock, deadline: int) -> None:
    share_s = max(0, deadline - clock.now_ns()) / 1e9 / (NUM_ROUNDS * max(1, len(tracks)))
    turn_ns = int(min(TURN_S, max(0.0, share_s - PAUSE_S - LEAD_IN_S)) * 1e9)
    for number in itertools.count():
        live = [track for track in tracks if track.can_continue]
        for track in live if number % 2 == 0 else reversed(live):
            if number == 0 or clock.now_ns() < deadline:
                track.guarded(track.take_turn, turn_ns, deadline)
        rest = [track for track in tracks if track.can_continue]
        done = number + 1 >= NUM_WINDOWS and all(track.stable for track in rest)
        if done or clock.now_ns() >= deadline:
            return
        gc.collect(1)  # what the calls left; a full collection takes 0.1 s


@dataclass(kw_only=True)
class _Samples:
    wall_ms: list[float] = field(default_factory=list)
    device_ms: list[float] = field(default_factory=list)


class _Track:
    """The state of one workload during a measurement."""

    def __init__(self, workload: Workload, limits: Limits, clock: Clock) -> None:
        self.workload = workload
        self.error: StarganDeployError | None = None
        self._limits = limits
        self._clock = clock
        self._samples = _Samples()
        self._num_calls = 0
        self._last_call_ms = 0.0
        self._warm_up_calls = 0
        self._warm_up_stable = False

    @property
    def stable(self) -> bool:
        samples = self._samples.wall_ms
        enough = len(samples) >= max(self._limits.least_calls, NUM_WINDOWS)
        return enough and window_spread(samples) <= AGREEMENT

    @property
    def can_continue(self) -> bool:
        return self.error is None and len(self._samples.wall_ms) < self._limits.max_calls

    def guarded(self, step: Callable[..., None], *moments: int) -> None:
        try:
            step(*moments)
        except StarganDeployError as error:
            self.error = error

    def warm_up(self, deadline: int) -> None:
        medians: list[float] = []
        window: list[float] = []
        while self._num_calls < self._limits.warm_up_calls or self._clock.now_ns() < deadline:
            window.append(self._call())
            if len(window) >= WARM_UP_WINDOW_CALLS and sum(window) >= WARM_UP_WINDOW_S * 1e3:
                medians.append(float(np.median(window)))
                window = []
            enough = len(medians) >= 2 and self._num_calls >= self._limits.warm_up_calls
            if enough and _spread(medians[-2:]) <= AGREEMENT:
                self._warm_up_stable = True
                break
        self._warm_up_calls = self._num_calls

    def take_turn(self, turn_ns: int, deadline: int) -> None:
        """Counts calls until the turn or the budget is over, at least one."""
        self._lead_in()
        end = min(self._clock.now_ns() + turn_ns, deadline)
        for _ in range(self._calls_of_a_turn()):
            self._samples.wall_ms.append(self._call())
            if (device_ms := self.workload.device_ms()) is not None:
                self._samples.device_ms.append(device_ms)
            if self._clock.now_ns() >= end:
                return

    def _lead_in(self) -> None:
        self._clock.wait_until_ns(self._clock.now_ns() + int(PAUSE_S * 1e9))
        if self._last_call_ms > SLOW_CALL_MS:
            return
        end = self._clock.now_ns() + int(LEAD_IN_S * 1e9)
        self._call()
        while self._clock.now_ns() < end:
            self._call()

    def measured(self) -> Measured:
        samples = self._samples
        reason: StopReason = "call limit" if not self.can_continue else "time limit"
        return Measured(
            statistics=summarize(samples.wall_ms),
            stopped_by="stable" if self.stable else reason,
            warm_up_calls=self._warm_up_calls,
            warm_up_stable=self._warm_up_stable,
            samples_ms=tuple(samples.wall_ms),
            device_samples_ms=tuple(samples.device_ms),
        )

    def _calls_of_a_turn(self) -> int:
        left = self._limits.max_calls - len(self._samples.wall_ms)
        return min(left, -(-self._limits.max_calls // NUM_TURNS))

    def _call(self) -> float:
        """Milliseconds of one call by the wall clock."""
        start = self._clock.now_ns()
        self.workload.call(self._num_calls)
        self.workload.synchronize()
        self._last_call_ms = (self._clock.now_ns() - start) / 1e6
        self._num_calls += 1
        return self._last_call_ms
