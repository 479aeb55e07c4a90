"""What is measured, and the interface of everything that measures.

Shapes: N photos of a group, T targets, K labels of the model, S side.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.labels import FloatArray
from stargan_deploy.evaluation.judge import Look
from stargan_deploy.files.images import Pixels

Array = npt.NDArray[Any]

Found = Mapping[str, Array]
"""Values by measure, (T, N) or (1, N), NaN where a photo does not count."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some photos, their translations, and what is known of both."""

    places: tuple[int, ...]
    """Places of the photos among all."""
    photos: Pixels
    """(N, S, S, 3): what went in."""
    images: Pixels
    """(T, N, S, S, 3): what came out."""
    truths: Pixels | None
    """(N, S, S, 3): what should have come out, where it is known."""
    own: FloatArray
    """(N, K): the photos' own labels; those that the data set does not give as they are read."""
    given: FloatArray
    """(N, K): the labels that the data set gives; NaN where it gives none."""
    wanted: FloatArray
    """(T, N, K): the labels that were asked for."""
    looks: Mapping[str, Look]
    """What each reader reads in the photos, by its name."""

    @property
    def flat_images(self) -> Pixels:
        """The translations (T * N, S, S, 3)."""
        return self.images.reshape(-1, *self.photos.shape[1:])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of targets and photos."""
        return self.images.shape[0], self.images.shape[1]


class Meter(ABC):
    """Measures groups of photos of one model, one after the other."""

    @abstractmethod
    def measure(self, group: Group) -> Found:
        """The values of a group."""

    def finish(self) -> Found:
        """Values that need all photos: (T, P) or (1, P) by measure."""
        return {}


def nothing(group: Group) -> FloatArray:
    """Values (T, N) of photos that do not count."""
    return np.full(group.shape, np.nan, np.float32)
