"""StarGAN's two networks (Choi et al., CVPR 2018, tables 4 and 5), official state-dict keys.

Shape legend: B batch, C channels, H height, W width, D label width, K number of labels.
Images are in [-1, 1].

The label enters as constant planes. Instance norm removes the constant, so the label acts only
through the zero padding at the borders. Reflection padding would switch the conditioning off.
Instance norm always uses the statistics of the image itself, in training and at inference, because
the official code never leaves training mode.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.errors import UsageError

NUM_DOWNSAMPLINGS = 2
"""The generator halves the image twice, so sizes are multiples of 4."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of StarGAN's networks."""

    generator_conv_dim: int = 64
    """Channels of the generator's first layer."""
    generator_blocks: int = 6
    """Residual blocks in the generator's middle."""
    discriminator_conv_dim: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_layers: int = 6
    """Stride-2 layers of the discriminator; the image size is a multiple of 2 to this power. 0 for
    no discriminator, which only a student may lack whose teacher has none."""

    def __post_init__(self) -> None:
        sizes = dict(vars(self))
        refuse_below(0, {"discriminator_layers": sizes.pop("discriminator_layers")})
        refuse_below(1, sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StarGANNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    label_width: int
    """Width D of the generator's label, with the mask of joint training."""
    num_labels: int
    """Width K of the classifier's output."""
    image_size: int
    """Side of the images that the discriminator takes, in pixels."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, added to their input; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            instance_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            instance_norm(channels),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C, H, W) of the same shape."""
        out: Tensor = x_BCHW + self.main(x_BCHW)
        return out


class Generator(nn.Module):
    """Translates an image to a target label: down twice, residual blocks, up twice.

    8,430,528 parameters at label width 5, conv_dim 64, 6 blocks.
    """

    def __init__(self, *, label_width: int, conv_dim: int = 64, num_blocks: int = 6) -> None:
        super().__init__()
        widths = [conv_dim * 2**i for i in range(NUM_DOWNSAMPLINGS + 1)]
        layers: list[nn.Module] = [
            *_normed(nn.Conv2d(3 + label_width, conv_dim, 7, padding=3, bias=False), conv_dim)
        ]
        for wide_in, wide_out in itertools.pairwise(widths):
            down = nn.Conv2d(wide_in, wide_out, 4, stride=2, padding=1, bias=False)
            layers += _normed(down, wide_out)
        layers += [ResidualBlock(widths[-1]) for _ in range(num_blocks)]
        for wide_in, wide_out in itertools.pairwise(widths[::-1]):
            up = nn.ConvTranspose2d(wide_in, wide_out, 4, stride=2, padding=1, bias=False)
            layers += _normed(up, wide_out)
        layers += [nn.Conv2d(conv_dim, 3, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, image_BCHW: Tensor, label_BD: Tensor) -> Tensor:
        """Translate images.

        Args:
            image_BCHW: (B, 3, H, W) in [-1, 1]; H and W are multiples of 4.
            label_BD: (B, D) target labels.

        Returns:
            (B, 3, H, W) in [-1, 1].
        """
        height, width = image_BCHW.shape[2:]
        if not torch.compiler.is_compiling():
            check_generator_size(height, width)
        planes_BDHW = label_BD[:, :, None, None].expand(-1, -1, height, width)
        out: Tensor = self.main(torch.cat([image_BCHW, planes_BDHW], dim=1))
        return out


class Discriminator(nn.Module):
    """Scores patches as real or fake (PatchGAN) and classifies the labels of the whole image.

    44,762,048 parameters at image size 128, 5 labels, conv_dim 64, 6 layers.

    Raises:
        UsageError: the image size is not a multiple of 2^num_layers.
    """

    def __init__(
        self, *, image_size: int, num_labels: int, conv_dim: int = 64, num_layers: int = 6
    ) -> None:
        super().__init__()
        check_discriminator_size(image_size, num_layers)
        self.image_size = image_size
        layers: list[nn.Module] = []
        channels = 3
        for index in range(num_layers):
            wider = conv_dim * 2**index
            layers += [nn.Conv2d(channels, wider, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            channels = wider
        self.main = nn.Sequential(*layers)
        self.conv1 = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, num_labels, image_size // 2**num_layers, bias=False)

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Score and classify.

        Args:
            image_BCHW: (B, 3, image_size, image_size) in [-1, 1].

        Returns:
            Patch scores (B, 1, h, w) and label logits (B, K).

        Raises:
            UsageError: images of another size.
        """
        if not torch.compiler.is_compiling() and image_BCHW.shape[2:] != (self.image_size,) * 2:
            height, width = image_BCHW.shape[2:]
            raise UsageError(
                f"this discriminator takes images of {self.image_size}x{self.image_size}, "
                f"not {height}x{width}"
            )
        features = self.main(image_BCHW)
        return self.conv1(features), self.conv2(features).flatten(1)


class Classifier(nn.Module):
    """The attribute classifier inside a discriminator, on its own."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.main = discriminator.main
        self.conv2 = discriminator.conv2

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Label logits (B, K) of images (B, 3, size, size) in [-1, 1]."""
        logits: Tensor = self.conv2(self.main(image_BCHW)).flatten(1)
        return logits


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Affine instance norm that uses the image's own statistics in every mode."""
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


def check_generator_size(height: int, width: int) -> None:
    """Refuse sizes that the generator cannot return.

    Raises:
        UsageError: height or width is not a positive multiple of 4, or both are 4.
    """
    if height % 4 or width % 4 or not height or not width:
        below, above = (f"{_step(height, 4, up)}x{_step(width, 4, up)}" for up in (False, True))
        raise UsageError(
            f"the generator takes heights and widths that are multiples of 4, not {height}x{width}",
            hint=f"the nearest are {below} and {above}",
        )
    if height == width == 2**NUM_DOWNSAMPLINGS:
        raise UsageError(
            "4x4 leaves a single pixel in the middle of the generator, and instance norm needs two",
            hint="the nearest are 4x8 and 8x4",
        )


def check_discriminator_size(image_size: int, num_layers: int) -> None:
    """Refuse image sizes that the discriminator's stride-2 layers cannot halve often enough.

    Raises:
        UsageError: the size is not a positive multiple of 2^num_layers.
    """
    unit = 2**num_layers
    if image_size < unit or image_size % unit:
        nearest = sorted({_step(image_size, unit, False), _step(image_size, unit, True)})
        raise UsageError(
            f"a discriminator of {num_layers} layers takes square images whose side is a multiple "
            f"of {unit}, not {image_size}",
            hint=f"the nearest are {' and '.join(map(str, nearest))}",
        )


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator, and discriminator if there is one, with fresh weights."""
    config = from_mapping(StarGANNetwork, network)
    networks: dict[str, nn.Module] = {
        "generator": Generator(
            label_width=config.label_width,
            conv_dim=config.generator_conv_dim,
            num_blocks=config.generator_blocks,
        )
    }
    if config.discriminator_layers:
        networks["discriminator"] = Discriminator(
            image_size=config.image_size,
            num_labels=config.num_labels,
            conv_dim=config.discriminator_conv_dim,
            num_layers=config.discriminator_layers,
        )
    return networks


def _normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, instance_norm(channels), nn.ReLU(inplace=True)]


def _step(size: int, unit: int, up: bool) -> int:
    return max(unit, (size + unit - 1) // unit * unit if up else size // unit * unit)
