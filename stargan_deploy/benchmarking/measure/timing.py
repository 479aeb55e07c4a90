"""Single-stream latency that can be believed: warm-up, rounds, a rule for the end, statistics.

Several subjects (one for each row of a benchmark) are measured together. Each warms up until its
calls have become alike. Then they take turns in rounds, one round forward and the next backward,
so that a drift of the machine's speed hits all alike (a steady one exactly, over two rounds). A
turn opens with a pause and calls that are not counted: the threads of the library that ran before
go on spinning on the cores for a while. Seen on two cores: right after onnxruntime, PyTorch's calls
took two to three times as long for 60 ms; after a pause of 100 ms only the first one was slower, by
a quarter.

The samples of a subject are stable when the medians of their three thirds, in order, agree within
5 %. Thirds of everything, and not the last three short windows: what the statistics are of is then
what was found stable, and a noisy subject needs more calls than a quiet one, as it should. A
stable subject goes on with the others until all are stable or a limit ends it: if it dropped out,
the rows would belong to different times, and their ratios to the drift between these.

Python's collector of cycles is off during calls, as in `timeit`, and runs between rounds.
"""

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from stargan_deploy.benchmarking.results import MeasuredPath, Statistics, StopReason, Timing
from stargan_deploy.benchmarking.suite.workloads import Clock, Subject, SystemClock
from stargan_deploy.errors import StarganDeployError

AGREEMENT = 0.05
"""Greatest difference, as a share of the smallest, of medians that agree."""

NUM_WINDOWS = 3
"""Parts of the samples whose medians must agree, and the fewest rounds."""

WARM_UP_WINDOW_CALLS = 3
WARM_UP_WINDOW_S = 0.1
"""A warm-up ends when two following windows, each at least this long, have medians that agree."""

WARM_UP_SHARE = 1 / 3
"""Of the budget, for all warm-ups; what one leaves goes to the next."""

PAUSE_S = 0.1
"""Opens a turn: threads that still spin go to sleep."""

LEAD_IN_S = 0.02
"""Time of calls, at least one, that follow the pause and are not counted: caches, clocks."""

SLOW_CALL_MS = 500.0
"""A call that takes longer needs no lead-in, whose gain would be lost in it."""

TURN_S = 0.3
"""Time of the counted calls of a turn, at least one; less where the budget is short."""

NUM_ROUNDS = 4
"""Rounds that a turn is kept short enough for, if calls are."""

NUM_TURNS = 10
"""Turns over which a subject's calls are spread at least, however fast they are."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a measurement goes on at most and at least."""

    budget_s: float = 60.0
    """For all subjects together, warm-ups included. Only what every subject gets in any case can
    exceed it: the fewest calls of its warm-up, and a first turn of one counted call."""
    warm_up_calls: int = 3
    """Fewest calls of a warm-up."""
    least_calls: int = 30
    """Fewest counted calls that can be stable."""
    max_calls: int = 2000
    """Most counted calls of a subject."""

    def __post_init__(self) -> None:
        if not self.budget_s > 0:
            raise ValueError(f"budget_s must be above 0, not {self.budget_s}")
        for name in ("warm_up_calls", "least_calls", "max_calls"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found of one subject."""

    statistics: Statistics
    stopped_by: StopReason
    warm_up_calls: int
    warm_up_stable: bool
    samples_ms: tuple[float, ...]
    device_samples_ms: tuple[float, ...] = ()

    def timing(self, path: MeasuredPath, *, batch_size: int) -> Timing:
        """The entry of a row, for a call that makes `batch_size` images."""
        return Timing(
            path=path,
            statistics=self.statistics,
            images_per_s=batch_size / self.statistics.mean_ms * 1e3,
            stopped_by=self.stopped_by,
            warm_up_calls=self.warm_up_calls,
            warm_up_stable=self.warm_up_stable,
            samples_ms=self.samples_ms,
            device_samples_ms=self.device_samples_ms,
        )


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The outcome by the subjects' names; each is in one of the two."""

    measured: dict[str, Measured]
    failed: dict[str, StarganDeployError]
    """Subjects that raised an error of ours, such as too little memory; the others went on."""


def measure(
    subjects: Sequence[Subject], limits: Limits | None = None, clock: Clock | None = None
) -> Measurement:
    """Measures subjects together, as the module's docstring says.

    Args:
        subjects: what is measured, with names of their own.
        limits: how long.
        clock: what time is.
    """
    limits, clock = limits or Limits(), clock or SystemClock()
    tracks = [_Track(subject, limits, clock) for subject in subjects]
    assert len({subject.name for subject in subjects}) == len(subjects), "names repeat"
    start = clock.now_ns()
    with collector_off():
        for number, track in enumerate(tracks, start=1):
            share = limits.budget_s * WARM_UP_SHARE * number / len(tracks)
            track.guarded(track.warm_up, start + int(share * 1e9))
        _take_rounds(tracks, clock, start + int(limits.budget_s * 1e9))
    return Measurement(
        measured={t.subject.name: t.measured() for t in tracks if t.error is None},
        failed={t.subject.name: t.error for t in tracks if t.error is not None},
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
    """How far the medians of the three thirds of samples, in order, lie apart.

    Args:
        samples_ms: at least three, above 0.

    Returns:
        The greatest median over the smallest, less 1.
    """
    return _spread([float(np.median(w)) for w in np.array_split(samples_ms, NUM_WINDOWS)])


@contextmanager
def collector_off() -> Iterator[None]:
    """Keeps Python's collector of cycles from running inside a timed call."""
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
        live = [track for track in tracks if track.can_go_on]
        for track in live if number % 2 == 0 else reversed(live):
            if number == 0 or clock.now_ns() < deadline:
                track.guarded(track.take_turn, turn_ns, deadline)
        rest = [track for track in tracks if track.can_go_on]
        done = number + 1 >= NUM_WINDOWS and all(track.stable for track in rest)
        if done or clock.now_ns() >= deadline:
            return
        gc.collect(1)  # what the calls left; looking through all that is loaded takes 0.1 s


@dataclass(kw_only=True)
class _Samples:
    wall_ms: list[float] = field(default_factory=list)
    device_ms: list[float] = field(default_factory=list)


class _Track:
    """One subject on its way through a measurement."""

    def __init__(self, subject: Subject, limits: Limits, clock: Clock) -> None:
        self.subject = subject
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
    def can_go_on(self) -> bool:
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
            if (device_ms := self.subject.device_ms()) is not None:
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
        reason: StopReason = "call limit" if not self.can_go_on else "time limit"
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
        self.subject.call(self._num_calls)
        self.subject.synchronize()
        self._last_call_ms = (self._clock.now_ns() - start) / 1e6
        self._num_calls += 1
        return self._last_call_ms
