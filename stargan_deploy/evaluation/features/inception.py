"""Inception v3 as FID uses it (Heusel et al., NeurIPS 2017), from a file that the user has.

The file is `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid: the weights of TensorFlow's
network of December 2015 under torchvision's names. That network has 1,008 classes and no auxiliary
head; its average pooling leaves padding out of the mean, and its last block pools by the maximum.
Images are resized to 299 pixels without smoothing. Features and distances equal pytorch-fid's.

Distances on any other weights, even of the same layers, are not called FID.

Shape legend: N images, C channels, H height, W width.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception

from stargan_deploy.devices import Device
from stargan_deploy.errors import ModelError, brief
from stargan_deploy.evaluation.features.torch_features import TorchFeatures
from stargan_deploy.families.checkpoint import load_weights
from stargan_deploy.files.atomic import file_sha256

SHA256_START = "6726825d"
"""Start of the hash of pytorch-fid's file, which its name ends in."""

NUM_CLASSES = 1008

HINT = "give pt_inception-2015-12-05-6726825d.pth, which pytorch-fid downloads"


class InceptionFeatures(TorchFeatures):
    """The 2,048 averaged features below Inception's last layer.

    Args:
        path: the file.
        device: where to compute; None takes a usable GPU, else the CPU.

    Raises:
        ModelError: there is no such file.
    """

    name = "inception"
    width = 2048
    size = 299
    antialias = False

    def __init__(self, path: Path, *, device: Device | None = None) -> None:
        super().__init__(device=device)
        if not path.is_file():
            raise ModelError(f"no such file of Inception's weights: {path}", hint=HINT)
        self._path = path
        if file_sha256(path).startswith(SHA256_START):
            self.distance_name = "FID"
        else:
            self.name = f"inception ({path.name})"

    def _load(self) -> nn.Module:
        weights = _read(self._path)
        complaint = f"{self._path} does not hold the Inception network of FID"
        rows = weights.get("fc.bias")
        if rows is not None and rows.shape != (NUM_CLASSES,):
            raise ModelError(
                f"{complaint}: it has {len(rows)} classes instead of {NUM_CLASSES}", hint=HINT
            )
        network = Network()
        own = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
        if own.keys() != network.state_dict().keys():
            raise ModelError(f"{complaint}, but other layers", hint=HINT)
        load_weights(network, own, complaint=complaint)
        return network


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        ModelError: it holds none.
    """
    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(f"{path} is no file of weights: {brief(error)}", hint=HINT) from error
    is_table = isinstance(weights, dict) and all(isinstance(v, Tensor) for v in weights.values())
    if not is_table or not weights:
        raise ModelError(f"{path} holds no table of weights", hint=HINT)
    return dict(weights)


class _AveragePooled:
    """A block whose pooled branch leaves the padding out of the mean."""

    branch_pool: nn.Module

    def _forward(self, x: Tensor) -> list[Tensor]:
        """The branches; the pooled one is torchvision's last."""
        branches: list[Tensor] = super()._forward(x)  # type: ignore[misc]
        return [*branches[:-1], self.branch_pool(self._pooled(x))]

    def _pooled(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _MaximumPooled(_AveragePooled):
    """A block whose pooled branch takes the maximum."""

    def _pooled(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=1, padding=1)


class _A(_AveragePooled, inception.InceptionA):  # type: ignore[misc]
    """Block A."""


class _C(_AveragePooled, inception.InceptionC):  # type: ignore[misc]
    """Block C."""


class _E1(_AveragePooled, inception.InceptionE):  # type: ignore[misc]
    """Block E."""


class _E2(_MaximumPooled, inception.InceptionE):  # type: ignore[misc]
    """The last block."""


class Network(nn.Module):
    """Inception v3 without its last layer, of torchvision's blocks."""

    def __init__(self) -> None:
        super().__init__()
        conv = inception.BasicConv2d
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = _A(192, pool_features=32)
        self.Mixed_5c = _A(256, pool_features=64)
        self.Mixed_5d = _A(288, pool_features=64)
        self.Mixed_6a = inception.InceptionB(288)
        self.Mixed_6b = _C(768, channels_7x7=128)
        self.Mixed_6c = _C(768, channels_7x7=160)
        self.Mixed_6d = _C(768, channels_7x7=160)
        self.Mixed_6e = _C(768, channels_7x7=192)
        self.Mixed_7a = inception.InceptionD(768)
        self.Mixed_7b = _E1(1280)
        self.Mixed_7c = _E2(2048)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Features (N, 2048) of images (N, 3, H, W) in [0, 255]."""
        x = image_NCHW / 127.5 - 1
        for layer in self.children():
            x = layer(x)
        return x.mean(dim=(2, 3))
