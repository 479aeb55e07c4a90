"""ResNet-18 (He et al., CVPR 2016, table 1) with a stem that fits small images.

The residual blocks are torchvision's, and so are the keys of the state dict. ImageNet's stem
quarters an image before the first block, which leaves 2x2 positions of 64x64 pixels at the end;
here it halves images of up to 160 pixels.

Shape legend: B batch, C channels, H height, W width, F features, K labels, h and w positions.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below

BLOCKS_PER_STAGE = 2
NUM_STAGES = 4

LARGEST_KEPT, LARGEST_HALVED = 40, 160
"""Sides in pixels up to which the stem keeps an image's size, and up to which it halves it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Size of the classifier."""

    width: int = 64
    """Channels of the first stage; the last has eight times as many. ResNet-18 has 64."""
    stem_stride: Literal[0, 1, 2, 4] = 0
    """How often the stem halves an image, as a factor: 4 is ImageNet's, with max pooling. 0 takes 1
    up to 40 pixels, 2 up to 160, and 4 above."""

    def __post_init__(self) -> None:
        refuse_below(1, {"width": self.width})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierNetwork(ModelConfig):
    """Everything that rebuilds the network; the card's `network` table."""

    num_labels: int
    """Width K of the output."""
    image_size: int
    """Side of the images in pixels."""

    @property
    def num_features(self) -> int:
        """Width F of the features below the last layer."""
        return self.width << (NUM_STAGES - 1)


def fitting_stride(image_size: int) -> Literal[1, 2, 4]:
    """The stem's stride for an image size in pixels."""
    if image_size <= LARGEST_KEPT:
        return 1
    return 2 if image_size <= LARGEST_HALVED else 4


class Classifier(nn.Module):
    """Logits of the labels, and the features that they are a linear function of.

    11,170,887 parameters at width 64 with 7 labels and a 3x3 stem.
    """

    def __init__(self, config: ClassifierNetwork) -> None:
        super().__init__()
        widths = [config.width * 2**stage for stage in range(NUM_STAGES)]
        stride = config.stem_stride or fitting_stride(config.image_size)
        side = 7 if stride == 4 else 3
        self.conv1 = nn.Conv2d(
            3, config.width, side, stride=min(stride, 2), padding=side // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(config.width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stride == 4 else nn.Identity()
        stages = [_stage(wide_in, wide_out) for wide_in, wide_out in _pairs(widths)]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(config.num_features, config.num_labels)
        self.apply(_draw)

    def feature_maps(self, image_BCHW: Tensor) -> Tensor:
        """Features (B, F, h, w) by position, of images in [-1, 1]."""
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(image_BCHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Label logits (B, K) and features (B, F) of images (B, 3, H, W) in [-1, 1]."""
        features_BF = self.feature_maps(image_BCHW).mean(dim=(2, 3))
        return self.fc(features_BF), features_BF


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The classifier with fresh weights."""
    return {"classifier": Classifier(from_mapping(ClassifierNetwork, network))}


def _pairs(widths: list[int]) -> list[tuple[int, int]]:
    """Channels that enter and leave each stage; the first keeps them."""
    return [(widths[0], widths[0]), *itertools.pairwise(widths)]


def _stage(wide_in: int, wide_out: int) -> nn.Sequential:
    """Residual blocks; those of wider stages halve height and width."""
    from torchvision.models.resnet import BasicBlock, conv1x1

    if wide_in == wide_out:
        first = BasicBlock(wide_in, wide_out)
    else:
        shortcut = nn.Sequential(conv1x1(wide_in, wide_out, 2), nn.BatchNorm2d(wide_out))
        first = BasicBlock(wide_in, wide_out, 2, shortcut)
    others = [BasicBlock(wide_out, wide_out) for _ in range(BLOCKS_PER_STAGE - 1)]
    return nn.Sequential(first, *others)


def _draw(layer: nn.Module) -> None:
    """He initialisation by the outputs, as torchvision's ResNet has it."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
