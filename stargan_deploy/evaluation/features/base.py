"""The base class of feature networks.

Shape legend: N images, H height, W width, D features.
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import numpy.typing as npt

from stargan_deploy.errors import ModelError
from stargan_deploy.files.images import Pixels

Features = npt.NDArray[np.float32]

BATCH = 32
"""Images per call; bounds the memory."""


class FeatureNet(ABC):
    """Features of images; nothing is loaded before it is entered."""

    name: str
    """What reports call it."""
    width: int
    """Number D of features of an image."""
    distance_name: str = "Fréchet distance"
    """What a Fréchet distance on these features may be called."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _open(self) -> None:  # noqa: B027 - a network may need nothing
        """Load what computes the features."""

    def _close(self) -> None:  # noqa: B027
        """Release what `_open` loaded."""

    def features(self, pixels_NHWC: Pixels) -> Features:
        """The features (N, D) of RGB images (N, H, W, 3) in [0, 255] of any size.

        Raises:
            ModelError: features that are not finite.
        """
        parts = [
            self._compute(pixels_NHWC[start : start + BATCH])
            for start in range(0, len(pixels_NHWC), BATCH)
        ]
        found = np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)
        if not np.isfinite(found).all():
            raise ModelError(f"{self.name} gives features that are not finite")
        return found.astype(np.float32, copy=False)

    @abstractmethod
    def _compute(self, pixels_NHWC: Pixels) -> Features:
        """The features of at most `BATCH` images."""
