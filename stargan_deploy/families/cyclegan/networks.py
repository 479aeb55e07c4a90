"""CycleGAN's networks (Zhu et al., ICCV 2017): two generators of residual blocks, two PatchGANs.

A generator halves the image twice, applies residual blocks, and doubles it twice, with reflection
padding and instance norm without scale and shift, which always uses the image's own statistics. The
paper takes 6 blocks for images up to 128x128 and 9 from 256x256 on. The layers are those of the
authors' PyTorch version (junyanz/pytorch-CycleGAN-and-pix2pix); their first version
(junyanz/CycleGAN) has scales and shifts.

Shape legend: B batch, C channels, H height, W width.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.families.blocks.image_to_image import check_image_size
from stargan_deploy.families.blocks.initialisation import draw_weights
from stargan_deploy.families.blocks.patchgan import PatchDiscriminator, check_patches, create_norm

DIRECTIONS = ("a2b", "b2a")
"""Roles of the generators, and the entry points."""

NUM_DOWNSAMPLINGS = 2

MIN_SIZE = 8
"""Below this size in pixels, reflection padding would exceed the inner features."""

LARGE_SIZE = 256
"""From this training size in pixels on, a generator has more blocks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of the networks."""

    generator_conv_dim: int = 64
    """Features of a generator's first layer."""
    generator_blocks: int | None = None
    """Residual blocks of a generator; absent takes the paper's: 9 from 256x256 on, else 6."""
    discriminator_conv_dim: int = 64
    """Features of a discriminator's first layer."""
    discriminator_halvings: int = 3
    """Stride-2 layers of a discriminator; 3 scores patches of 70x70 pixels."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CycleGANNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    generator_blocks: int = 6
    """Residual blocks of a generator."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            create_norm("instance", channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            create_norm("instance", channels),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C, H, W) of the same shape."""
        out: Tensor = x_BCHW + self.main(x_BCHW)
        return out


class Generator(nn.Module):
    """Image to image: 7,837,699 parameters with 6 blocks, 11,378,179 with 9, at 64 features."""

    def __init__(self, *, conv_dim: int = 64, num_blocks: int = 6) -> None:
        super().__init__()
        widths = [conv_dim * 2**i for i in range(NUM_DOWNSAMPLINGS + 1)]
        layers = [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(3, conv_dim, 7), conv_dim)]
        for wide_in, wide_out in itertools.pairwise(widths):
            down = nn.Conv2d(wide_in, wide_out, 3, stride=2, padding=1)
            layers += _normed(down, wide_out)
        layers += [ResidualBlock(widths[-1]) for _ in range(num_blocks)]
        for wide_in, wide_out in itertools.pairwise(widths[::-1]):
            up = nn.ConvTranspose2d(wide_in, wide_out, 3, stride=2, padding=1, output_padding=1)
            layers += _normed(up, wide_out)
        last = [nn.ReflectionPad2d(3), nn.Conv2d(conv_dim, 3, 7), nn.Tanh()]
        self.main = nn.Sequential(*layers, *last)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Translates images (B, 3, H, W) in [-1, 1].

        Raises:
            UsageError: height or width is not a multiple of 4 from 8 on.
        """
        if not torch.compiler.is_compiling():
            check_image_size(*image_BCHW.shape[2:], multiple=2**NUM_DOWNSAMPLINGS, least=MIN_SIZE)
        out: Tensor = self.main(image_BCHW)
        return out


def paper_blocks(image_size: int) -> int:
    """The paper's number of residual blocks for an image size in pixels (appendix 7.2).

    It names 128 and "256 or higher"; sizes in between count as the smaller one.
    """
    return 9 if image_size >= LARGE_SIZE else 6


def check_training_size(image_size: int, *, discriminator_halvings: int) -> None:
    """Refuse a training size, in pixels, that one of the networks cannot halve often enough.

    The card does not hold this size, because the generators take others too.

    Raises:
        UsageError: not a multiple of 4 from 8 on, or too small for the discriminators.
    """
    check_image_size(image_size, image_size, multiple=2**NUM_DOWNSAMPLINGS, least=MIN_SIZE)
    check_patches(image_size, discriminator_halvings)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Both generators and both discriminators with fresh weights."""
    config = from_mapping(CycleGANNetwork, network)
    networks: dict[str, nn.Module] = {
        role: Generator(conv_dim=config.generator_conv_dim, num_blocks=config.generator_blocks)
        for role in DIRECTIONS
    }
    for domain in "ab":
        networks[f"discriminator_{domain}"] = PatchDiscriminator(
            channels=3,
            conv_dim=config.discriminator_conv_dim,
            num_halvings=config.discriminator_halvings,
            norm="instance",
        )
    for built in networks.values():
        draw_weights(built)
    return networks


def _normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, create_norm("instance", channels), nn.ReLU(inplace=True)]
