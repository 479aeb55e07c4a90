"""Means over photos with bootstrap intervals, and differences between models on the same photos.

Photos are drawn with replacement (Efron 1979), the same draws for all measures and all models, so
that differences are paired: a photo that is hard for two models does not count as a difference
between them. Figures are percentiles.

Where every photo says the same, resampling knows no spread and would claim certainty. There the
exact bound of Clopper and Pearson (1934) stands in: 20 of 20 photos may come of a share of 0.83.

Shapes: P photos, R rows (a measure and a target each), B draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from stargan_deploy.evaluation.results import CONFIDENCE, Figure

Floats = npt.NDArray[np.float64]

NUM_DRAWS = 1000
"""Bootstrap samples; the ends of an interval vary by a few hundredths of its width."""

DRAWS_AT_ONCE = 64
"""Bootstrap samples whose weights are in memory at once."""

SEED = 5
"""Seed of the draws: the same values give the same intervals."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Means:
    """Means of rows of values, and how they vary."""

    values: Floats
    """(R, P); NaN where a photo does not count."""
    means: Floats
    """(R,); NaN where no photo counts."""
    draws: Floats
    """(B, R): the means of each bootstrap sample."""
    is_share: bool = False
    """Whether values are between 0 and 1, of which all may be equal by chance."""

    @cached_property
    def nums(self) -> npt.NDArray[np.int64]:
        """Photos that count for each row (R,)."""
        found: npt.NDArray[np.int64] = np.isfinite(self.values).sum(axis=1)
        return found

    def interval(self, *rows: int) -> Figure | None:
        """The interval of a row, or of the mean of several (macro); None where none counts.

        Rows in which no photo counts are left out of a mean.
        """
        chosen = [row for row in rows or range(len(self.means)) if self.nums[row]]
        if not chosen:
            return None
        value = float(self.means[chosen].mean())
        num = int(np.isfinite(self.values[chosen]).any(axis=0).sum())
        low, high = percentiles(_row_mean(self.draws[:, chosen]))
        if self.is_share and value in (0.0, 1.0):
            low, high = (1 - _reach(num), 1.0) if value == 1.0 else (0.0, _reach(num))
        return Figure(value=value, low=low, high=high, num=num)


class Bootstrap:
    """Draws of photos, the same for all that is asked of it.

    Args:
        num_photos: number of photos P.
        num_draws: number of bootstrap samples B.
        seed: decides the draws.
    """

    def __init__(self, num_photos: int, *, num_draws: int = NUM_DRAWS, seed: int = SEED) -> None:
        self._num_photos, self._num_draws, self._seed = num_photos, num_draws, seed

    def means(self, values: npt.NDArray[np.floating], *, is_share: bool = False) -> Means:
        """Means of rows (R, P), with NaN where a photo does not count, and their draws."""
        rows = np.asarray(values, np.float64)
        counts = np.isfinite(rows)
        filled = np.where(counts, rows, 0.0)
        with np.errstate(invalid="ignore"):
            means = filled.sum(axis=1) / counts.sum(axis=1)
            draws = [
                (weights @ filled.T) / (weights @ counts.T.astype(np.float64))
                for weights in self._weights()
            ]
        return Means(values=rows, means=means, draws=np.concatenate(draws), is_share=is_share)

    def _weights(self) -> Iterator[Floats]:
        """How often each photo was drawn (b, P), a few samples at a time."""
        random, num = np.random.default_rng(self._seed), self._num_photos
        for start in range(0, self._num_draws, DRAWS_AT_ONCE):
            size = min(DRAWS_AT_ONCE, self._num_draws - start)
            drawn = random.integers(num, size=(size, num)) + num * np.arange(size)[:, None]
            yield np.bincount(drawn.ravel(), minlength=size * num).reshape(size, num).astype(float)


def difference(a: Means, b: Means, *rows: int) -> Figure | None:
    """B's mean minus A's on the same photos, with its paired interval.

    Args:
        a: of one model, from the same `Bootstrap` as `b`.
        b: of the other.
        rows: of which the mean is meant; none for all.

    Returns:
        None where one of them has no value.
    """
    chosen = [row for row in rows or range(len(a.means)) if a.nums[row] and b.nums[row]]
    if not chosen:
        return None
    low, high = percentiles(_row_mean(b.draws[:, chosen] - a.draws[:, chosen]))
    counts = np.isfinite(a.values[chosen]) & np.isfinite(b.values[chosen])
    num = int(counts.any(axis=0).sum())
    value = float((b.means[chosen] - a.means[chosen]).mean())
    if a.is_share and np.array_equal(a.values[chosen], b.values[chosen], equal_nan=True):
        low, high = -_reach(num), _reach(num)
    return Figure(value=value, low=low, high=high, num=num)


def _reach(num: int) -> float:
    """How large a share may be that did not occur among so many photos."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / max(1, num)))


def percentiles(draws: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Both ends of the interval of draws (B,), NaN among them left out."""
    kept = draws[np.isfinite(draws)]
    rest = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(kept, [rest, 100 - rest]) if len(kept) else (np.nan, np.nan)
    return float(low), float(high)


def _row_mean(draws_BR: Floats) -> Floats:
    """Means (B,) over rows, those left out that a sample has no photo for."""
    counts = np.isfinite(draws_BR)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(counts, draws_BR, 0.0).sum(axis=1) / counts.sum(axis=1)
    return means
