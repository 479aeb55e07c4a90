"""The PatchGAN discriminator (Isola et al., CVPR 2017) and its norms.

Shape legend: B batch, C channels, H height, W width.
"""

import itertools
from typing import Literal

from torch import Tensor, nn

from stargan_deploy.errors import UsageError

NormName = Literal["batch", "instance"]

SLOPE = 0.2
"""Negative slope of LeakyReLU."""

MAX_WIDENING = 8
"""Greatest number of features, as a multiple of the first layer's."""

LEAST_HALVED = 3
"""Least size after the halvings: each of the two layers that follow removes one pixel."""


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches, of 70x70 pixels with three halvings.

    2,768,705 parameters on pairs (6 channels, batch norm), 2,764,737 on single images (3 channels,
    instance norm), both with 64 features and three halvings.

    Args:
        channels: number of input channels.
        conv_dim: features of the first layer.
        num_halvings: stride-2 layers; 3 makes the 70x70 PatchGAN.
        norm: norm after all layers but the first and the last.
    """

    def __init__(
        self, *, channels: int, conv_dim: int = 64, num_halvings: int = 3, norm: NormName = "batch"
    ) -> None:
        super().__init__()
        widths = [conv_dim * min(2**i, MAX_WIDENING) for i in range(num_halvings + 1)]
        first = nn.Conv2d(channels, conv_dim, 4, stride=2, padding=1)
        layers: list[nn.Module] = [first, nn.LeakyReLU(SLOPE, inplace=True)]
        for index, (wide_in, wide_out) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if index < num_halvings else 1
            bias = norm == "instance"
            layers += [
                nn.Conv2d(wide_in, wide_out, 4, stride=stride, padding=1, bias=bias),
                create_norm(norm, wide_out),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Patch scores (B, 1, h, w), positive where real, of images in [-1, 1]."""
        scores: Tensor = self.main(image_BCHW)
        return scores


def check_patches(image_size: int, num_halvings: int) -> None:
    """Refuse images so small that the halvings leave no patch.

    Raises:
        UsageError: the image size in pixels is too small.
    """
    if image_size >> num_halvings < LEAST_HALVED:
        most = (image_size // LEAST_HALVED).bit_length() - 1
        fewer = f", or `model.discriminator_halvings` to {most}" if most > 0 else ""
        raise UsageError(
            f"a discriminator of {num_halvings} halvings finds no patch in images of {image_size}x"
            f"{image_size}",
            hint=f"set `data.image_size` to {LEAST_HALVED << num_halvings} or more{fewer}",
        )


def create_norm(name: NormName, channels: int) -> nn.Module:
    """Batch norm with scale and shift, or instance norm without, from each image's statistics."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)
