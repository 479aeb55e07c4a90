"""The features of a set of images as a stream: moments of all rows, and some rows.

Shape legend: N rows, D features.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stargan_deploy.errors import UsageError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

MAX_ROWS = 10_000
"""Rows that a set keeps; of more it keeps a random choice."""


@dataclass
class Moments:
    """Sums of rows and of their products, relative to a shift that keeps them small."""

    shift: Doubles
    count: int
    total: Doubles
    products: Doubles

    @classmethod
    def around(cls, shift: Doubles) -> "Moments":
        """The moments of no rows yet, relative to a shift (D,)."""
        width = len(shift)
        return cls(shift, 0, np.zeros(width), np.zeros((width, width)))

    def add(self, rows_ND: Floats) -> None:
        """Add rows."""
        centred = rows_ND.astype(np.float64) - self.shift
        self.count += len(centred)
        self.total += centred.sum(axis=0)
        self.products += centred.T @ centred

    def without(self, other: "Moments") -> "Moments":
        """The moments of the rows that another one, of the same shift, does not have."""
        return Moments(
            self.shift,
            self.count - other.count,
            self.total - other.total,
            self.products - other.products,
        )

    @property
    def mean(self) -> Doubles:
        """Mean (D,)."""
        return self.shift + self.total / self.count

    @property
    def covariance(self) -> Doubles:
        """Unbiased covariance (D, D)."""
        spread = self.products - np.outer(self.total, self.total) / self.count
        return spread / (self.count - 1)


class FeatureSet:
    """The features of a set of images, added batch by batch; its memory is bounded.

    Mean and covariance are those of all rows. A random choice of the rows is kept, each with the
    same chance (reservoir sampling, Vitter 1985).

    Args:
        max_rows: greatest number of rows that are kept.
        seed: decides which.
    """

    def __init__(self, *, max_rows: int = MAX_ROWS, seed: int = 0) -> None:
        self._max_rows = max_rows
        self._random = np.random.default_rng(seed)
        self._kept: list[npt.NDArray[np.float32]] = []
        self._moments: Moments | None = None

    @property
    def count(self) -> int:
        """Number of rows that were added."""
        return 0 if self._moments is None else self._moments.count

    @property
    def width(self) -> int:
        """Number D of features."""
        return 0 if self._moments is None else len(self._moments.shift)

    @property
    def rows(self) -> npt.NDArray[np.float32]:
        """The rows that are kept, (N, D)."""
        return np.stack(self._kept) if self._kept else np.empty((0, self.width), np.float32)

    @property
    def mean(self) -> Doubles:
        """Mean (D,) of all rows."""
        return self._checked().mean

    @property
    def covariance(self) -> Doubles:
        """Covariance (D, D) of all rows, unbiased."""
        return self._checked().covariance

    def add(self, features_ND: Floats) -> None:
        """Add a batch.

        Raises:
            UsageError: the batch has another width than those before.
        """
        if not len(features_ND):
            return
        if self._moments is None:
            self._moments = Moments.around(features_ND.mean(axis=0, dtype=np.float64))
        if features_ND.shape[1] != self.width:
            raise UsageError(
                f"a set of {self.width} features takes no batch of {features_ND.shape[1]}"
            )
        first = self._moments.count
        self._moments.add(features_ND)
        for number, row in enumerate(features_ND.astype(np.float32), start=first):
            if number < self._max_rows:
                self._kept.append(row)
            elif (place := int(self._random.integers(number + 1))) < self._max_rows:
                self._kept[place] = row

    def _checked(self) -> Moments:
        if self._moments is None or self._moments.count < 2:
            raise UsageError(f"a covariance needs two images at least, not {self.count}")
        return self._moments
