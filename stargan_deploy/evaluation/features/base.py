"""The base classes of feature networks.

Shape legend: N images, C channels, H height, W width, D features.
"""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from stargan_deploy.devices import Device, choose_device
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
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

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


def resized(pixels_NHWC: Pixels, height: int, width: int) -> Pixels:
    """Images of another size, bilinear, smoothed where they become smaller."""
    if pixels_NHWC.shape[1:3] == (height, width):
        return pixels_NHWC
    images = (Image.fromarray(pixels) for pixels in pixels_NHWC)
    size = (width, height)
    return np.stack([np.asarray(i.resize(size, Image.Resampling.BILINEAR)) for i in images])


class TorchFeatures(FeatureNet):
    """Features that PyTorch computes.

    Args:
        device: where; None takes a usable GPU, else the CPU.
    """

    size: ClassVar[int]
    """Side in pixels that images are resized to."""
    antialias: ClassVar[bool] = True
    """Whether larger images are smoothed before."""

    def __init__(self, *, device: Device | None = None) -> None:
        self._device = device
        self._place = torch.device("cpu")
        self._network: nn.Module | None = None

    def __enter__(self) -> Self:
        self._place = (self._device or choose_device(None)).to_torch()
        self._network = self._load().eval().requires_grad_(False).to(self._place)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._network = None

    @abstractmethod
    def _load(self) -> nn.Module:
        """The network: features (N, D) of images (N, 3, size, size) in [0, 255]."""

    @torch.inference_mode()
    def _compute(self, pixels_NHWC: Pixels) -> Features:
        assert self._network is not None, "enter it first"
        image_NHWC = torch.from_numpy(np.ascontiguousarray(pixels_NHWC)).to(self._place)
        image_NCHW = image_NHWC.permute(0, 3, 1, 2).float()
        found: Features = self._network(self._resized(image_NCHW)).cpu().numpy()
        return found

    def _resized(self, image_NCHW: Tensor) -> Tensor:
        if image_NCHW.shape[2:] == (self.size, self.size):
            return image_NCHW
        return nn.functional.interpolate(
            image_NCHW,
            (self.size, self.size),
            mode="bilinear",
            align_corners=False,
            antialias=self.antialias,
        )
