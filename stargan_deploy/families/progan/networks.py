"""Progressive GAN's two networks (Karras et al., ICLR 2018, table 2 and section 4).

Stage 0 makes pictures of 4x4 pixels, and each stage after it doubles them: the generator by a
block of two convolutions, the discriminator by the mirrored one. While a stage is faded in, its
picture is mixed with the one of the stage before, doubled: (1 - alpha) old + alpha new.

Weights are drawn from N(0, 1) and scaled at run time by He's constant, so that Adam moves all of
them at one pace (section 4.1); here the layer's input is scaled, which is the same. The generator
norms each pixel's features to unit length on average (section 4.2); the discriminator's last block
sees the standard deviation over the batch (section 3). Layers and gains are those of the
authors' code (tkarras/progressive_growing_of_gans, networks.py).

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.config import from_mapping
from stargan_deploy.errors import UsageError
from stargan_deploy.families.blocks.latent import SAMPLE, entry_module, entry_network, sample_point
from stargan_deploy.families.defaults import relabel

__all__ = [
    "build_networks",
    "entry_module",
    "entry_network",
    "entry_points",
    "notes",
    "relabel",
]

FIRST_SIDE = 4
"""Side in pixels of the pictures of stage 0."""

SLOPE = 0.2
"""Of LeakyReLU."""

STDDEV_GROUP = 4
"""Pictures over which the standard deviation is taken, where the batch can be divided so; 4 is that
of the authors' code, while the paper takes the whole batch."""

HE_GAIN = math.sqrt(2)
"""Before LeakyReLU; 1 before nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProGANNetwork:
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the pictures of the last stage in pixels: a power of two from 4 on."""
    latent_width: int = 512
    """Width Z of the noise."""
    base_features: int = 8192
    """Features of a stage are this, halved once for stage 0 and again for each one after it ..."""
    max_features: int = 512
    """... but not more than this."""
    stage: int | None = None
    """The stage that the networks are at; None is the last."""
    alpha: float = 1.0
    """How far that stage is faded in, in [0, 1]."""

    @property
    def last_stage(self) -> int:
        """Number of the last stage, from 0.

        Raises:
            UsageError: a size that does not come of doubling 4.
        """
        stage = (self.image_size // FIRST_SIDE).bit_length() - 1
        if stage < 0 or FIRST_SIDE << stage != self.image_size:
            raise UsageError(
                "progressive growing doubles pictures from 4x4 on, so it makes powers of two, not "
                f"{self.image_size}x{self.image_size}"
            )
        return stage

    @property
    def present_stage(self) -> int:
        """The stage that the networks are at."""
        return self.last_stage if self.stage is None else self.stage

    def features(self, stage: int) -> int:
        """Features of a stage's layers."""
        return max(1, min(self.base_features >> (stage + 1), self.max_features))


class EqualisedConv2d(nn.Conv2d):
    """A convolution whose weights are of one size, whatever comes in."""

    def __init__(
        self, wide_in: int, wide_out: int, kernel: int, *, padding: int = 0, gain: float = HE_GAIN
    ) -> None:
        super().__init__(wide_in, wide_out, kernel, padding=padding)
        self.scale = _draw(self, wide_in * kernel**2, gain)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, wide_out, h, w)."""
        return super().forward(x_BCHW * self.scale)


class EqualisedLinear(nn.Linear):
    """A linear layer whose weights are of one size, whatever comes in."""

    def __init__(self, wide_in: int, wide_out: int, gain: float = 1.0) -> None:
        super().__init__(wide_in, wide_out)
        self.scale = _draw(self, wide_in, gain)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, wide_out)."""
        return super().forward(x * self.scale)


class PixelNorm(nn.Module):
    """Divides each pixel's features by their root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class FirstPicture(nn.Module):
    """Features of 4x4 pixels from latents: a 4x4 convolution of a single padded pixel."""

    def __init__(self, latent_width: int, features: int) -> None:
        super().__init__()
        self.shape = (features, FIRST_SIDE, FIRST_SIDE)
        # The gain makes it that of a convolution over all 16 pixels, as the authors have it.
        gain = HE_GAIN / FIRST_SIDE
        self.linear = EqualisedLinear(latent_width, features * FIRST_SIDE**2, gain)
        self.bias = nn.Parameter(torch.zeros(features, 1, 1))
        self.linear.register_parameter("bias", None)

    def forward(self, latent_BZ: Tensor) -> Tensor:
        """Features (B, C, 4, 4)."""
        features: Tensor = self.linear(latent_BZ).reshape(-1, *self.shape)
        return features + self.bias


class MinibatchStddev(nn.Module):
    """One more plane: the standard deviation over a group of pictures, on average."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C + 1, H, W)."""
        rows = len(x_BCHW)
        size = STDDEV_GROUP if rows % STDDEV_GROUP == 0 else rows
        groups = x_BCHW.float().reshape(size, rows // size, *x_BCHW.shape[1:])
        spread = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        plane = spread.to(x_BCHW.dtype).repeat(size)[:, None, None, None]
        return torch.cat([x_BCHW, plane.expand(-1, 1, *x_BCHW.shape[2:])], dim=1)


class GrowingNetwork(nn.Module):
    """What both networks have in common: the stage they are at, and how far it is faded in."""

    alpha: Tensor

    def __init__(self, config: ProGANNetwork) -> None:
        super().__init__()
        self.last_stage = config.last_stage
        # A tensor, because torch.compile builds anew for each number.
        self.register_buffer("alpha", torch.ones(()), persistent=False)
        self.grow(config.present_stage, config.alpha)

    def grow(self, stage: int, alpha: float) -> None:
        """Sets the stage, and how far it is faded in."""
        self.stage = stage
        self.fades = stage > 0 and alpha < 1
        self.alpha.fill_(alpha)

    def mix(self, old: Tensor, new: Tensor) -> Tensor:
        """(1 - alpha) old + alpha new."""
        return old + (new - old) * self.alpha.to(new.dtype)


class Generator(GrowingNetwork):
    """Pictures from noise."""

    def __init__(self, config: ProGANNetwork) -> None:
        super().__init__(config)
        widths = [config.features(stage) for stage in range(config.last_stage + 1)]
        first = FirstPicture(config.latent_width, widths[0])
        self.first = nn.Sequential(PixelNorm(), first, *_normed(), *_conv_normed(widths[0]))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), *_conv_normed(a, b), *_conv_normed(b))
            for a, b in itertools.pairwise(widths)
        )
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, 3, 1, gain=1.0) for width in widths)

    def forward(self, latent_BZ: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) of the present stage, about in [-1, 1], from latents (B, Z)."""
        x_BCHW = before_BCHW = self.first(latent_BZ)
        for stage in range(self.stage):
            before_BCHW, x_BCHW = x_BCHW, self.blocks[stage](x_BCHW)
        image: Tensor = self.to_rgb[self.stage](x_BCHW)
        if self.fades:
            old = doubled(self.to_rgb[self.stage - 1](before_BCHW))
            return self.mix(old, image)
        return image


class Discriminator(GrowingNetwork):
    """Scores of pictures, the generator's mirror image."""

    def __init__(self, config: ProGANNetwork) -> None:
        super().__init__(config)
        widths = [config.features(stage) for stage in range(config.last_stage + 1)]
        self.from_rgb = nn.ModuleList(
            nn.Sequential(EqualisedConv2d(3, width, 1), nn.LeakyReLU(SLOPE)) for width in widths
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*_conv_active(b, b), *_conv_active(b, a), nn.AvgPool2d(2))
            for a, b in itertools.pairwise(widths)
        )
        self.last = nn.Sequential(
            MinibatchStddev(),
            *_conv_active(widths[0] + 1, widths[0]),
            EqualisedConv2d(widths[0], widths[0], FIRST_SIDE),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            EqualisedLinear(widths[0], 1),
        )

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Scores (B, 1) of pictures of the present stage."""
        x_BCHW = self.from_rgb[self.stage](image_BCHW)
        for stage in reversed(range(self.stage)):
            x_BCHW = self.blocks[stage](x_BCHW)
            if self.fades and stage == self.stage - 1:
                old = self.from_rgb[stage](F.avg_pool2d(image_BCHW, 2))
                x_BCHW = self.mix(old, x_BCHW)
        scores: Tensor = self.last(x_BCHW)
        return scores


def doubled(image_BCHW: Tensor) -> Tensor:
    """Images of twice the side, each pixel four times."""
    return F.interpolate(image_BCHW, scale_factor=2.0)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights, all stages of them."""
    config = from_mapping(ProGANNetwork, network)
    return {"generator": Generator(config), "discriminator": Discriminator(config)}


def entry_points(
    networks: Mapping[str, nn.Module],  # noqa: ARG001 - the protocol
    card: ModelCard,
) -> dict[str, EntryPoint]:
    """`sample`, at the size of the present stage."""
    config = from_mapping(ProGANNetwork, card.network)
    side = FIRST_SIDE << config.present_stage
    return {SAMPLE: sample_point(latent_width=config.latent_width, image_size=side)}


def notes(network: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the growing stands, unless it is finished."""
    config = from_mapping(ProGANNetwork, network)
    if config.present_stage == config.last_stage and config.alpha == 1:
        return ()
    side = FIRST_SIDE << config.present_stage
    return (
        f"still growing: at {side}x{side} of {config.image_size}x{config.image_size}, faded in by "
        f"{config.alpha:.0%}",
    )


def _draw(layer: nn.Conv2d | nn.Linear, fan_in: int, gain: float) -> float:
    """Draws a layer's weights from N(0, 1); returns what they are scaled by."""
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return gain / math.sqrt(fan_in)


def _normed() -> list[nn.Module]:
    return [nn.LeakyReLU(SLOPE), PixelNorm()]


def _conv_normed(wide_in: int, wide_out: int | None = None) -> list[nn.Module]:
    return [EqualisedConv2d(wide_in, wide_out or wide_in, 3, padding=1), *_normed()]


def _conv_active(wide_in: int, wide_out: int) -> list[nn.Module]:
    return [EqualisedConv2d(wide_in, wide_out, 3, padding=1), nn.LeakyReLU(SLOPE)]
