"""Progressive GAN's two networks (Karras et al., ICLR 2018, table 2 and section 4).

Stage 0 makes images of 4x4 pixels, and each stage after it doubles them: the generator with a block
of two convolutions, the discriminator with its mirror image. While a stage is faded in, its image
is mixed with the doubled image of the stage before: (1 - alpha) old + alpha new.

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

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.errors import UsageError

FIRST_SIDE = 4
"""Side in pixels of the images of stage 0."""

SLOPE = 0.2
"""Negative slope of LeakyReLU."""

STDDEV_GROUP = 4
"""Images over which the standard deviation is taken, if the batch divides evenly; 4 is from the
authors' code, while the paper takes the whole batch."""

HE_GAIN = math.sqrt(2)
"""Gain of a layer before LeakyReLU; it is 1 where no activation follows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of the networks."""

    latent_width: int = 512
    """Width Z of the noise."""
    base_features: int = 8192
    """Features of stage s: this, halved s + 1 times, but at most `max_features`."""
    max_features: int = 512
    """Greatest number of features of a stage."""

    def __post_init__(self) -> None:
        refuse_below(1, {name: getattr(self, name) for name in ModelConfig.__dataclass_fields__})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProGANNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the images of the last stage in pixels: a power of two from 4 on."""
    stage: int | None = None
    """The stage that the networks are at; None is the last."""
    alpha: float = 1.0
    """How far that stage is faded in, in [0, 1]."""

    @property
    def last_stage(self) -> int:
        """Number of the last stage, from 0.

        Raises:
            UsageError: a size that doubling 4 does not reach.
        """
        stage = (self.image_size // FIRST_SIDE).bit_length() - 1
        if stage < 0 or FIRST_SIDE << stage != self.image_size:
            raise UsageError(
                "progressive growing doubles images from 4x4 on, so it makes powers of two, not "
                f"{self.image_size}x{self.image_size}",
                hint="change `data.image_size`",
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
    """A convolution whose weights have unit variance and are scaled at run time."""

    def __init__(
        self, wide_in: int, wide_out: int, kernel: int, *, padding: int = 0, gain: float = HE_GAIN
    ) -> None:
        super().__init__(wide_in, wide_out, kernel, padding=padding)
        self.scale = _draw(self, wide_in * kernel**2, gain)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, wide_out, h, w)."""
        return super().forward(x_BCHW * self.scale)


class EqualisedLinear(nn.Linear):
    """A linear layer whose weights have unit variance and are scaled at run time."""

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


class FirstFeatures(nn.Module):
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
    """Appends a plane: the mean standard deviation over a group of images."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C + 1, H, W)."""
        rows = len(x_BCHW)
        size = STDDEV_GROUP if rows % STDDEV_GROUP == 0 else rows
        groups = x_BCHW.float().reshape(size, rows // size, *x_BCHW.shape[1:])
        spread = (groups.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        plane = spread.to(x_BCHW.dtype).repeat(size)[:, None, None, None]
        return torch.cat([x_BCHW, plane.expand(-1, 1, *x_BCHW.shape[2:])], dim=1)


class GrowingNetwork(nn.Module):
    """A network with a stage, and a share by which that stage is faded in."""

    alpha: Tensor

    def __init__(self, config: ProGANNetwork) -> None:
        super().__init__()
        self.last_stage = config.last_stage
        # A tensor, because torch.compile recompiles for each new number.
        self.register_buffer("alpha", torch.ones(()), persistent=False)
        self.grow(config.present_stage, config.alpha)

    def grow(self, stage: int, alpha: float) -> None:
        """Set the stage, and how far it is faded in."""
        self.stage = stage
        self.fades = stage > 0 and alpha < 1
        self.alpha.fill_(alpha)

    def mix(self, old: Tensor, new: Tensor) -> Tensor:
        """(1 - alpha) old + alpha new."""
        return old + (new - old) * self.alpha.to(new.dtype)


class Generator(GrowingNetwork):
    """Images from noise."""

    def __init__(self, config: ProGANNetwork) -> None:
        super().__init__(config)
        widths = [config.features(stage) for stage in range(config.last_stage + 1)]
        first = FirstFeatures(config.latent_width, widths[0])
        self.first = nn.Sequential(PixelNorm(), first, *_normed(), *_conv_normed(widths[0]))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), *_conv_normed(a, b), *_conv_normed(b))
            for a, b in itertools.pairwise(widths)
        )
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, 3, 1, gain=1.0) for width in widths)

    def forward(self, latent_BZ: Tensor) -> Tensor:
        """Images (B, 3, H, W) of the present stage, roughly in [-1, 1], from latents (B, Z)."""
        x_BCHW = before_BCHW = self.first(latent_BZ)
        for stage in range(self.stage):
            before_BCHW, x_BCHW = x_BCHW, self.blocks[stage](x_BCHW)
        image: Tensor = self.to_rgb[self.stage](x_BCHW)
        if self.fades:
            old = doubled(self.to_rgb[self.stage - 1](before_BCHW))
            return self.mix(old, image)
        return image


class Discriminator(GrowingNetwork):
    """Scores of images; the generator's mirror image."""

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
        """Scores (B, 1) of images of the present stage."""
        x_BCHW = self.from_rgb[self.stage](image_BCHW)
        for stage in reversed(range(self.stage)):
            x_BCHW = self.blocks[stage](x_BCHW)
            if self.fades and stage == self.stage - 1:
                old = self.from_rgb[stage](F.avg_pool2d(image_BCHW, 2))
                x_BCHW = self.mix(old, x_BCHW)
        scores: Tensor = self.last(x_BCHW)
        return scores


def doubled(image_BCHW: Tensor) -> Tensor:
    """Images of twice the side, with each pixel repeated four times."""
    return F.interpolate(image_BCHW, scale_factor=2.0)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator of all stages, with fresh weights."""
    config = from_mapping(ProGANNetwork, network)
    return {"generator": Generator(config), "discriminator": Discriminator(config)}


def _draw(layer: nn.Conv2d | nn.Linear, fan_in: int, gain: float) -> float:
    """Draw a layer's weights from N(0, 1) and return their scale."""
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
