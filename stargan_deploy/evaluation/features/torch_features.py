"""Features that PyTorch computes.

Shape legend: N images, C channels, H height, W width, D features.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from stargan_deploy.devices import Device, choose_device
from stargan_deploy.evaluation.features.base import FeatureNet, Features
from stargan_deploy.files.images import Pixels


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

    def _open(self) -> None:
        self._place = (self._device or choose_device(None)).to_torch()
        self._network = self._load().eval().requires_grad_(False).to(self._place)

    def _close(self) -> None:
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
