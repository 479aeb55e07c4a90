"""pix2pix's networks (Isola et al., CVPR 2017): a U-Net, and a PatchGAN that scores pairs.

Each level halves the image; on the way up, features are joined with those of the same size on the
way down. At 256x256 eight levels end in a single pixel. Some levels of the way up drop half of
their features in training; the masks are inputs (see `mask_shapes`), so that no network draws.

The layers are those of the authors' PyTorch version (junyanz/pytorch-CycleGAN-and-pix2pix). Their
first version (phillipi/pix2pix, and the paper's appendix) drops features at the three innermost
levels; the PyTorch version, as here, spares the innermost and drops at the next three.

The paper keeps dropout and the batch's own statistics at inference too, on single images. Here
both are off: equal images give equal results, whatever else is in the batch.

Shape legend: B batch, C channels, H height, W width.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.errors import UsageError
from stargan_deploy.families.blocks.image_to_image import check_image_size
from stargan_deploy.families.blocks.initialisation import draw_weights
from stargan_deploy.families.blocks.patchgan import (
    MAX_WIDENING,
    SLOPE,
    NormName,
    PatchDiscriminator,
    check_patches,
    create_norm,
)

KEPT_SHARE = 0.5
"""Share of features that a mask keeps."""

FIRST_DROPPING = 4
"""Outermost level whose way up drops features; the innermost one never does, as in the authors'
PyTorch version."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of the networks."""

    levels: int = 8
    """Times that the U-Net halves an image; the image size is a multiple of 2 to this power."""
    generator_conv_dim: int = 64
    """Features of the U-Net's outermost level."""
    discriminator_conv_dim: int = 64
    """Features of the discriminator's first layer."""
    discriminator_halvings: int = 3
    """Stride-2 layers of the discriminator; 3 scores patches of 70x70 pixels."""
    norm: NormName = "batch"
    """Norm of both networks; the paper has batch norm."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pix2PixNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the training images in pixels."""


class UNet(nn.Module):
    """Image to image, with a shortcut at every size; 54,413,955 parameters at its defaults."""

    def __init__(self, *, levels: int = 8, conv_dim: int = 64, norm: NormName = "batch") -> None:
        super().__init__()
        self.levels = levels
        self.widths = self.widths_of(levels=levels, conv_dim=conv_dim)
        pairs = [(3, conv_dim), *zip(self.widths, self.widths[1:], strict=False)]
        self.downs = nn.ModuleList(_down(i, levels, pair, norm) for i, pair in enumerate(pairs))
        self.ups = nn.ModuleList(_up(i, levels, pair, norm) for i, pair in enumerate(pairs))

    @staticmethod
    def widths_of(*, levels: int, conv_dim: int) -> list[int]:
        """Features of each level, the outermost first."""
        return [conv_dim * min(2**i, MAX_WIDENING) for i in range(levels)]

    @property
    def dropping(self) -> range:
        """Levels whose way up drops features, the outermost first."""
        return range(FIRST_DROPPING, self.levels - 1)

    def mask_shapes(self, height: int, width: int) -> dict[str, tuple[int, int, int]]:
        """Names and shapes (C, H, W) of the masks for images of a size, innermost first."""
        return {
            f"mask_{level}": (self.widths[level - 1], height >> level, width >> level)
            for level in reversed(self.dropping)
        }

    def forward(self, image_BCHW: Tensor, *masks: Tensor) -> Tensor:
        """Translates images.

        Args:
            image_BCHW: (B, 3, H, W) in [-1, 1].
            masks: of zeros and ones, as `mask_shapes` lists them; without any, nothing is dropped.

        Returns:
            (B, 3, H, W) in [-1, 1].

        Raises:
            UsageError: height or width cannot be halved often enough.
        """
        if not torch.compiler.is_compiling():
            unit = 2**self.levels
            check_image_size(*image_BCHW.shape[2:], multiple=unit, least=unit)
        mask_of = dict(zip(reversed(self.dropping), masks, strict=True)) if masks else {}
        shortcuts = [image_BCHW]
        for down in self.downs:
            shortcuts.append(down(shortcuts[-1]))
        x_BCHW = shortcuts.pop()
        for level in reversed(range(self.levels)):
            x_BCHW = self.ups[level](x_BCHW)
            if level in mask_of:
                x_BCHW = x_BCHW * mask_of[level].to(x_BCHW.dtype) / KEPT_SHARE
            if level:
                x_BCHW = torch.cat([shortcuts.pop(), x_BCHW], dim=1)
        return x_BCHW


class PairDiscriminator(nn.Module):
    """Patch scores of pairs of an input and an output."""

    def __init__(self, config: Pix2PixNetwork) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(
            channels=6,
            conv_dim=config.discriminator_conv_dim,
            num_halvings=config.discriminator_halvings,
            norm=config.norm,
        )

    def forward(self, condition_BCHW: Tensor, image_BCHW: Tensor) -> Tensor:
        """Scores (B, 1, h, w), positive where real, of images in [-1, 1]."""
        scores: Tensor = self.patches(torch.cat([condition_BCHW, image_BCHW], dim=1))
        return scores


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights.

    Raises:
        UsageError: a training size that one of the networks cannot halve often enough.
    """
    config = from_mapping(Pix2PixNetwork, network)
    if config.levels < 2:
        raise UsageError(f"a U-Net has two levels or more, not {config.levels}")
    unit = 2**config.levels
    check_image_size(config.image_size, config.image_size, multiple=unit, least=unit)
    check_patches(config.image_size, config.discriminator_halvings)
    generator = UNet(levels=config.levels, conv_dim=config.generator_conv_dim, norm=config.norm)
    networks: dict[str, nn.Module] = {
        "generator": generator,
        "discriminator": PairDiscriminator(config),
    }
    for built in networks.values():
        draw_weights(built)
    return networks


def _down(level: int, levels: int, widths: tuple[int, int], norm: NormName) -> nn.Sequential:
    """Halves; neither the outermost nor the innermost level has a norm."""
    is_normed = 0 < level < levels - 1
    bias = norm == "instance"
    conv = nn.Conv2d(*widths, 4, stride=2, padding=1, bias=bias)
    before: list[nn.Module] = [nn.LeakyReLU(SLOPE)] if level else []
    after = [create_norm(norm, widths[1])] if is_normed else []
    return nn.Sequential(*before, conv, *after)


def _up(level: int, levels: int, widths: tuple[int, int], norm: NormName) -> nn.Sequential:
    """Doubles; every level but the innermost takes the shortcut's features too."""
    wide_out, wide_in = widths
    joined = wide_in if level == levels - 1 else 2 * wide_in
    bias = norm == "instance" or not level
    conv = nn.ConvTranspose2d(joined, wide_out, 4, stride=2, padding=1, bias=bias)
    after = create_norm(norm, wide_out) if level else nn.Tanh()
    return nn.Sequential(nn.ReLU(), conv, after)
