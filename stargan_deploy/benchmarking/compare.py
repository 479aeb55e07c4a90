"""Compares two benchmark runs row by row: what is a difference, and what is noise.

The measure is the ratio of the medians of a row's samples, B's over A's: a single slow call moves
a mean and not a median. Its interval comes from a bootstrap over blocks. Calls that follow one
another are alike (clocks, other programs), so resampling single calls would pretend to more
knowledge than there is; blocks of a sixth of the run keep that likeness (circular block bootstrap:
Politis and Romano, "A Circular Block-Resampling Procedure for Stationary Data", 1992). Six blocks
are few, so the interval is the bootstrap's standard error times Student's t, in the logarithm of
the ratio. No interval covers correlation that lasts longer than the run: long runs tell more.

No run shows in its own samples how far it lies from the next one: processes find the machine's
clocks, caches and neighbours otherwise. So the interval is widened by 3 % on both sides.

A row is *noise* where the interval holds 1, or where the ratio is nearer to 1 than the thirds of a
run were to one another: at least 5 %, what a measurement may differ from itself and still be called
stable (see `timing`). It is a *regression* where, in addition, the whole interval is beyond the
share that was given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stargan_deploy.benchmarking.measure.timing import AGREEMENT, window_spread
from stargan_deploy.benchmarking.report.format import has_one_point
from stargan_deploy.benchmarking.results import Machine, Results, Row, Timing, TrainingRow

Verdict = Literal["faster", "slower", "regression", "noise", "too few samples"]

DRIFT = 0.03
"""Share by which runs of the same software differ on the same machine with nothing else to do."""

NUM_BLOCKS = 6
"""Blocks that a resampled run consists of, and the fewest samples that say anything."""

STUDENT_T = 2.571
"""97.5th percentile of Student's t with NUM_BLOCKS - 1 degrees of freedom: an interval of 95 %."""

NUM_RESAMPLES = 500

SEED = 5
"""Seed of the resampling: the same files give the same verdicts."""

ROOF_DRIFT = 0.1
"""Share by which the machine's measured limit may differ without a remark."""

TRAINING_PATH = "training step"


@dataclass(frozen=True, kw_only=True)
class RowComparison:
    """One path of a row in both runs."""

    name: str
    """Backend, precision, device, entry point, batch and size, or the setting of a training."""
    path: str
    """Path that a call covers, or "training step"."""
    a_ms: float
    b_ms: float
    """Medians of the samples."""
    ratio: float
    """B's median over A's: above 1, B is slower."""
    low: float | None
    high: float | None
    """Interval of the ratio at 95 %, with the drift; None where there are too few samples."""
    noise: float
    """Difference, as a share, up to which the row is noise."""
    verdict: Verdict
    notes: tuple[str, ...] = ()
    """Other changes, and reasons to doubt the row."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs side by side."""

    fail_over: float
    """Share of A's time beyond which a slower row is a regression."""
    comparable: bool
    """False where the machines differ, so that the figures say nothing about the software."""
    rows: tuple[RowComparison, ...]
    only_in_a: tuple[str, ...] = ()
    only_in_b: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Remarks on the comparison as a whole."""

    @property
    def regressions(self) -> tuple[RowComparison, ...]:
        """The rows that became slower beyond what is allowed."""
        return tuple(row for row in self.rows if row.verdict == "regression")


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One path of a row in one run."""

    name: str
    path: str
    samples_ms: tuple[float, ...]
    precision: str
    verified: bool | None
    """None for a training, which has nothing to verify."""
    stable: bool


def compare(a: Results, b: Results, fail_over: float = 0.05) -> Comparison:
    """Compares run B with run A, the earlier one.

    Args:
        a: what to compare with.
        b: what is judged.
        fail_over: share of A's time, for example 0.05, beyond which a slower row is a regression.
    """
    is_one_point = has_one_point((*a.rows, *b.rows))
    of_a, of_b = ({(s.name, s.path): s for s in _sides(run, is_one_point)} for run in (a, b))
    machines = _machine_remarks(a.machine, b.machine)
    rows = tuple(
        _compare_row(side, of_b[key], fail_over) for key, side in of_a.items() if key in of_b
    )
    return Comparison(
        fail_over=fail_over,
        comparable=not machines,
        rows=rows,
        only_in_a=tuple(", ".join(key) for key in of_a if key not in of_b),
        only_in_b=tuple(", ".join(key) for key in of_b if key not in of_a),
        remarks=(*machines, *_run_remarks(a, b), *_roof_remarks(a, b), *_drift_remarks(rows)),
    )


def ratio_interval(a_ms: Sequence[float], b_ms: Sequence[float]) -> tuple[float, float]:
    """Interval at 95 % of the ratio of two medians, B's over A's, by the samples alone.

    Args:
        a_ms: samples in the order in which they were taken, at least `NUM_BLOCKS`, above 0.
        b_ms: the other ones.
    """
    random = np.random.default_rng(SEED)
    variance = sum(_log_median_error(np.asarray(s), random) ** 2 for s in (a_ms, b_ms))
    ratio = float(np.median(b_ms) / np.median(a_ms))
    # The spread of n values around their own mean is too small by (n - 1) / n.
    reach = float(np.exp(STUDENT_T * np.sqrt(variance * NUM_BLOCKS / (NUM_BLOCKS - 1))))
    return ratio / reach, ratio * reach


def _log_median_error(samples: np.ndarray, random: np.random.Generator) -> float:
    """Standard error of the logarithm of the median, from resampled blocks."""
    length = -(-samples.size // NUM_BLOCKS)
    starts = random.integers(samples.size, size=(NUM_RESAMPLES, NUM_BLOCKS, 1))
    places = (starts + np.arange(length)) % samples.size
    drawn = samples[places.reshape(NUM_RESAMPLES, -1)[:, : samples.size]]
    return float(np.log(np.median(drawn, axis=1)).std())


def _compare_row(a: _Side, b: _Side, fail_over: float) -> RowComparison:
    a_ms, b_ms = float(np.median(a.samples_ms)), float(np.median(b.samples_ms))
    enough = min(len(a.samples_ms), len(b.samples_ms)) >= NUM_BLOCKS
    low, high, noise = None, None, AGREEMENT
    verdict: Verdict = "too few samples"
    if enough:
        low, high = ratio_interval(a.samples_ms, b.samples_ms)
        low, high = low / (1 + DRIFT), high * (1 + DRIFT)
        noise = max(AGREEMENT, window_spread(a.samples_ms), window_spread(b.samples_ms))
        verdict = _judge(b_ms / a_ms, low, high, noise, fail_over)
    return RowComparison(
        name=a.name,
        path=a.path,
        a_ms=a_ms,
        b_ms=b_ms,
        ratio=b_ms / a_ms,
        low=low,
        high=high,
        noise=noise,
        verdict=verdict,
        notes=tuple(_row_notes(a, b)),
    )


def _judge(ratio: float, low: float, high: float, noise: float, fail_over: float) -> Verdict:
    if low <= 1 <= high or 1 / (1 + noise) <= ratio <= 1 + noise:
        return "noise"
    if low > 1 + fail_over:
        return "regression"
    return "slower" if ratio > 1 else "faster"


def _sides(run: Results, is_one_point: bool) -> Iterator[_Side]:
    """All that can be compared: every path of every row, and the trainings."""
    sides = [_side(row, timing, is_one_point) for row in run.rows for timing in row.timings]
    sides += [_training_side(row) for row in run.training]
    # A file may have been edited: skip samples that have no median.
    return (s for s in sides if s.samples_ms and all(0 < ms < np.inf for ms in s.samples_ms))


def _side(row: Row, timing: Timing, is_one_point: bool) -> _Side:
    backend, kind, precision, entry_point, batch_size, height, width = row.key
    point = "" if is_one_point else f"{entry_point}, "
    return _Side(
        name=f"{backend} {precision} {kind}, {point}batch {batch_size}, {width}x{height}",
        path=timing.path,
        samples_ms=timing.samples_ms,
        precision=row.precision,
        verified=row.verified,
        stable=timing.stopped_by == "stable",
    )


def _training_side(row: TrainingRow) -> _Side:
    kind, size = row.device.partition(":")[0], f"{row.image_size}x{row.image_size}"
    setting = f"{row.name} ({row.precision}{', compiled' if row.compile else ''})"
    return _Side(
        name=f"{setting} {kind}, batch {row.batch_size}, {size}",
        path=TRAINING_PATH,
        samples_ms=row.samples_ms,
        precision=row.precision,
        verified=None,
        stable=True,
    )


def _row_notes(a: _Side, b: _Side) -> Iterator[str]:
    if a.precision != b.precision:
        yield f"computes in {b.precision}, before in {a.precision}"
    if a.verified != b.verified:
        yield "now proven equal to PyTorch" if b.verified else "no longer proven equal to PyTorch"
    unstable = [name for name, side in (("A", a), ("B", b)) if not side.stable]
    if unstable:
        yield f"not stable in {' and '.join(unstable)}"


def _machine_remarks(a: Machine, b: Machine) -> list[str]:
    named = ("cpu", "gpu", "num_cores", "num_threads")
    different = [
        f"{name.replace('num_', 'number of ')} {getattr(a, name)} / {getattr(b, name)}"
        for name in named
        if getattr(a, name) != getattr(b, name)
    ]
    if not different:
        return []
    return [
        "DIFFERENT MACHINES: speeds measured on different machines say nothing about the "
        f"software ({'; '.join(different)})"
    ]


def _run_remarks(a: Results, b: Results) -> Iterator[str]:
    if a.model_sha256 != b.model_sha256:
        yield f"the models differ: {a.model} / {b.model}"
    old, new = a.machine.versions, b.machine.versions
    changed = [
        f"{name} {old.get(name, 'none')} / {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if changed:
        yield f"versions differ: {', '.join(changed)}"
    for name, run in (("A", a), ("B", b)):
        reasons = run.machine.before.gpu_throttling + run.machine.after.gpu_throttling
        if reasons:
            yield f"the GPU was throttled in {name}: {', '.join(dict.fromkeys(reasons))}"


def _roof_remarks(a: Results, b: Results) -> Iterator[str]:
    """The machine's limits, measured in both runs, show its speed without the software's."""
    before = {(roof.precision, roof.gemm_library): roof.gemm_gmacs_per_s for roof in a.roofs}
    for roof in b.roofs:
        speed = before.get((roof.precision, roof.gemm_library), 0.0)
        ratio = roof.gemm_gmacs_per_s / speed if speed > 0 else 1.0
        if max(ratio, 1 / max(ratio, 1e-9)) > 1 + ROOF_DRIFT:
            yield (
                f"the machine itself was {'faster' if ratio > 1 else 'slower'} in B: matrix "
                f"products in {roof.precision} at {ratio:.0%} of their speed in A"
            )


def _drift_remarks(rows: Sequence[RowComparison]) -> Iterator[str]:
    """A change of everything at once is rarely one of the software."""
    for slower in (True, False):
        moved = [r for r in rows if abs(r.ratio - 1) > AGREEMENT and (r.ratio > 1) == slower]
        if len(moved) == len(rows) >= 3:
            yield (
                f"everything is {'slower' if slower else 'faster'}: look at the machine first "
                "(clocks, temperature, other programs), and measure both again"
            )
