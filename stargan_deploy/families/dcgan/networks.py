"""DCGAN's two networks (Radford, Metz and Chintala, ICLR 2016): all convolutional, batch norm.

Images of 28x28 (MNIST) go through 4, 7, 14 and 28 pixels a side, by transposed convolutions
k4s1p0, k3s2p1, k4s2p1 and k4s2p1 (kernel, stride, padding), as in PyTorch's C++ example; the paper
has no layer list for them. The general form doubles 4 up to any power of two; at 64x64 with 64
features it is that of the third author's code and of PyTorch's tutorial (soumith/dcgan.torch,
pytorch/examples). The first author's code (Newmu/dcgan_code) has 128 features, kernels of 5,
uniform noise, and a batch norm for each unit of the first layer. No layer has a bias. Batch norm
uses its running statistics at inference.

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.errors import UsageError
from stargan_deploy.families.blocks.initialisation import draw_weights

FIRST_SIDE = 4
"""Side in pixels of the generator's first features."""

MNIST_SIDES = (4, 7, 14, 28)

SLOPE = 0.2
"""Negative slope of the discriminator's LeakyReLU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of the networks."""

    channels: Literal[1, 3] = 3
    """1 for grey images, 3 for colour."""
    latent_width: int = 100
    """Width Z of the noise."""
    generator_conv_dim: int = 64
    """Features of the generator's last hidden layer; each layer before it has twice as many."""
    discriminator_conv_dim: int = 64
    """Features of the discriminator's first layer; each layer after it has twice as many."""

    def __post_init__(self) -> None:
        refuse_below(1, {name: getattr(self, name) for name in ModelConfig.__dataclass_fields__})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DCGANNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the images in pixels: 28, or a power of two from 8 on."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides in pixels from the first features to the image.

        Raises:
            UsageError: a size that doubling does not reach.
        """
        return feature_sides(self.image_size)


class Generator(nn.Module):
    """Images from noise.

    Args:
        sides: sides of the features in pixels, from the first layer's to the image's.
        width_in: number of inputs, the latent included.
        conv_dim: features of the last hidden layer.
        channels: channels of the image.
    """

    def __init__(
        self, sides: Sequence[int], *, width_in: int, conv_dim: int, channels: int
    ) -> None:
        super().__init__()
        widths = [conv_dim * 2**i for i in reversed(range(len(sides) - 1))]
        first = nn.ConvTranspose2d(width_in, widths[0], FIRST_SIDE, bias=False)
        layers = _normed(first, widths[0])
        for side, (wide_in, wide_out) in zip(sides, itertools.pairwise(widths), strict=False):
            kernel = _kernel(side, sides)
            up = nn.ConvTranspose2d(wide_in, wide_out, kernel, stride=2, padding=1, bias=False)
            layers += _normed(up, wide_out)
        last = nn.ConvTranspose2d(conv_dim, channels, 4, stride=2, padding=1, bias=False)
        self.main = nn.Sequential(*layers, last, nn.Tanh())

    def forward(self, latent_BZ: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] from latents (B, Z)."""
        image: Tensor = self.main(latent_BZ[:, :, None, None])
        return image


class Discriminator(nn.Module):
    """Scores of images.

    Args:
        sides: sides of the features in pixels, from the last layer's to the image's.
        channels: number of input channels.
        conv_dim: features of the first layer.
    """

    def __init__(self, sides: Sequence[int], *, channels: int, conv_dim: int) -> None:
        super().__init__()
        widths = [conv_dim * 2**i for i in range(len(sides) - 1)]
        first = nn.Conv2d(channels, conv_dim, 4, stride=2, padding=1, bias=False)
        layers: list[nn.Module] = [first, nn.LeakyReLU(SLOPE, inplace=True)]
        halved = reversed(sides[:-2])
        for side, (wide_in, wide_out) in zip(halved, itertools.pairwise(widths), strict=True):
            kernel = _kernel(side, sides)
            conv = nn.Conv2d(wide_in, wide_out, kernel, stride=2, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(wide_out), nn.LeakyReLU(SLOPE, inplace=True)]
        last = nn.Conv2d(widths[-1], 1, FIRST_SIDE, bias=False)
        self.main = nn.Sequential(*layers, last)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Scores (B, 1), positive where real, of images in [-1, 1]."""
        scores: Tensor = self.main(image_BCHW)
        return scores.flatten(1)


def feature_sides(image_size: int) -> tuple[int, ...]:
    """Sides of the features on the way to an image size, in pixels.

    Raises:
        UsageError: a size that is neither 28 nor a power of two from 8 on.
    """
    if image_size == MNIST_SIDES[-1]:
        return MNIST_SIDES
    doublings = (image_size // FIRST_SIDE).bit_length() - 1
    if doublings < 1 or FIRST_SIDE * 2**doublings != image_size:
        raise UsageError(
            f"DCGAN makes images of 28x28, or of a power of two from 8x8 on, not "
            f"{image_size}x{image_size}",
            hint="change `data.image_size`",
        )
    return tuple(FIRST_SIDE * 2**i for i in range(doublings + 1))


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights."""
    config = from_mapping(DCGANNetwork, network)
    generator = Generator(
        config.sides,
        width_in=config.latent_width,
        conv_dim=config.generator_conv_dim,
        channels=config.channels,
    )
    discriminator = Discriminator(
        config.sides, channels=config.channels, conv_dim=config.discriminator_conv_dim
    )
    networks: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
    for built in networks.values():
        draw_weights(built)
    return networks


def _normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _kernel(side: int, sides: Sequence[int]) -> int:
    """Kernel of the layer between a side and the next: 4 doubles exactly, 3 makes 7 of 4."""
    return 4 if sides[list(sides).index(side) + 1] == 2 * side else 3
