"""StarGAN v2's four networks (Choi et al., CVPR 2020, appendix F), official state-dict keys.

The generator takes an image and a style. A style is made of a latent by the mapping network, or of
a reference image by the style encoder; both have a head per domain, of which the row's domain
picks one with a gather, so that a traced graph has an open batch.

Models for aligned faces have a high-pass skip (`w_hpf` above 0): features of the encoder, filtered
and laid over the decoder's where face heat maps say so. Such a decoder has no shortcuts.

Shape legend: B batch, C channels, H height, W width, S style width, Z latent width, K domains.
Images are in [-1, 1]. The generator has no tanh, so that its images may go a little beyond.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.config import from_mapping, refuse_below
from stargan_deploy.errors import UsageError

SLOPE = 0.2
"""Negative slope of LeakyReLU."""

WIDTH_TIMES_SIZE = 2**14
"""The first layer's width times the image size, where no width is set."""

MASKED_SIDES = {32: 0, 64: 1, 128: 1}
"""Sides of the features that the high-pass skip joins, and which mask gates it there."""

NUM_MASKS = 2

LAST_SIDE = 4
"""Side of the features in front of the heads of style encoder and discriminator."""

NUM_MAPPING_LAYERS = 4
"""Linear layers that all domains share, and as many for each domain."""

_SPREAD = math.sqrt(2)
"""Divides the sum of two branches, to keep its variance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of StarGAN v2's networks."""

    conv_dim: int | None = None
    """Channels of the first layers; absent means 16384 divided by the image size."""
    max_conv_dim: int = 512
    """Greatest number of channels, up to which each down-sampling doubles them."""
    style_width: int = 64
    """Width S of a style."""
    latent_width: int = 16
    """Width Z of the noise that the mapping network makes styles of."""
    mapping_width: int = 512
    """Width of the mapping network's layers."""
    w_hpf: float = 0.0
    """Divisor of the high-pass filter; only 0, for a model without the skip, can be trained."""

    def __post_init__(self) -> None:
        refuse_below(1, {n: v for n, v in vars(self).items() if v is not None and n != "w_hpf"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class StarGANv2Network:
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the images in pixels, a power of two from 32 on."""
    num_domains: int
    """Number K of domains."""
    conv_dim: int
    """Channels of the first layers."""
    max_conv_dim: int
    """Greatest number of channels."""
    style_width: int
    """Width S of a style."""
    latent_width: int
    """Width Z of a latent."""
    mapping_width: int
    """Width of the mapping network's layers."""
    w_hpf: float = 0.0
    """Divisor of the high-pass filter; 0 for a model without the skip, which takes no heat maps."""
    has_discriminator: bool = True
    """Whether the discriminator is there; deployed models do without it."""

    def __post_init__(self) -> None:
        refuse_below(1, {k: v for k, v in vars(self).items() if not isinstance(v, bool | float)})

    @property
    def num_halvings(self) -> int:
        """How often the generator's encoder halves its features."""
        return generator_halvings(self.image_size, has_skip=self.w_hpf > 0)

    def widths(self, num_halvings: int) -> list[int]:
        """Channels in front of each halving, and after the last."""
        return [min(self.conv_dim * 2**i, self.max_conv_dim) for i in range(num_halvings + 1)]


def check_training_size(image_size: int) -> None:
    """Refuse sizes for which there is no such network.

    Raises:
        UsageError: not a power of two from 32 on.
    """
    if image_size < 32 or image_size & (image_size - 1):
        nearest = max(32, 2 ** round(math.log2(max(image_size, 1))))
        raise UsageError(
            f"StarGAN v2 takes images whose side is a power of two from 32 on, not {image_size}",
            hint=f"set `data.image_size` to {nearest}",
        )


def generator_halvings(image_size: int, *, has_skip: bool) -> int:
    """Halvings in a generator's encoder for an image size in pixels."""
    return image_size.bit_length() - 1 - 4 + has_skip


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions after their activations, added to a shortcut; the sum over sqrt 2.

    Args:
        wide_in: channels that go in.
        wide_out: channels that come out.
        normalises: whether instance norm precedes each activation.
        halves: whether height and width are halved, by averaging.
    """

    def __init__(
        self, wide_in: int, wide_out: int, *, normalises: bool = False, halves: bool = False
    ) -> None:
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(wide_in, wide_in, 3, padding=1)
        self.conv2 = nn.Conv2d(wide_in, wide_out, 3, padding=1)
        self.norm1, self.norm2 = (
            nn.InstanceNorm2d(wide_in, affine=True) if normalises else nn.Identity()
            for _ in range(2)
        )
        self.conv1x1 = _widening(wide_in, wide_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C, H, W) to features, halved if the block halves."""
        residual = self.conv1(F.leaky_relu(self.norm1(x_BCHW), SLOPE))
        residual = self._pooled(residual)
        residual = self.conv2(F.leaky_relu(self.norm2(residual), SLOPE))
        # Averaging and a 1x1 convolution commute, and the smaller one comes cheaper.
        out: Tensor = (self.conv1x1(self._pooled(x_BCHW)) + residual) / _SPREAD
        return out

    def _pooled(self, x_BCHW: Tensor) -> Tensor:
        return F.avg_pool2d(x_BCHW, 2) if self.halves else x_BCHW


class AdaptiveInstanceNorm(nn.Module):
    """Instance norm whose scale and shift come of a style: (1 + gamma) norm(x) + beta."""

    def __init__(self, channels: int, style_width: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, affine=False)
        self.fc = nn.Linear(style_width, 2 * channels)

    def forward(self, x_BCHW: Tensor, style_BS: Tensor) -> Tensor:
        """Features (B, C, H, W) in the style."""
        gamma_BC11, beta_BC11 = self.fc(style_BS)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = (1 + gamma_BC11) * self.norm(x_BCHW) + beta_BC11
        return out


class StyledBlock(nn.Module):
    """A residual block of the decoder.

    Args:
        wide_in: channels that go in.
        wide_out: channels that come out.
        style_width: width S of a style.
        doubles: whether height and width are doubled, by repeating.
        has_shortcut: whether the input is added; decoders with a high-pass skip have none, and
            keep its unused weights.
    """

    def __init__(
        self, wide_in: int, wide_out: int, style_width: int, *, doubles: bool, has_shortcut: bool
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.has_shortcut = has_shortcut
        self.conv1 = nn.Conv2d(wide_in, wide_out, 3, padding=1)
        self.conv2 = nn.Conv2d(wide_out, wide_out, 3, padding=1)
        self.norm1 = AdaptiveInstanceNorm(wide_in, style_width)
        self.norm2 = AdaptiveInstanceNorm(wide_out, style_width)
        self.conv1x1 = _widening(wide_in, wide_out)

    def forward(self, x_BCHW: Tensor, style_BS: Tensor) -> Tensor:
        """Features (B, C, H, W) to features, doubled if the block doubles."""
        residual: Tensor = F.leaky_relu(self.norm1(x_BCHW, style_BS), SLOPE)
        residual = self.conv1(self._doubled(residual))
        residual = self.conv2(F.leaky_relu(self.norm2(residual, style_BS), SLOPE))
        if not self.has_shortcut:
            return residual
        # A 1x1 convolution of repeated pixels is the repeated 1x1 convolution.
        shortcut: Tensor = self._doubled(self.conv1x1(x_BCHW))
        return (shortcut + residual) / _SPREAD

    def _doubled(self, x_BCHW: Tensor) -> Tensor:
        return F.interpolate(x_BCHW, scale_factor=2.0) if self.doubles else x_BCHW


class HighPass(nn.Module):
    """What a pixel does not share with its 3x3 neighbourhood, over `w_hpf`, in each channel alone.

    The official code convolves with -1 around 8, which is 9 times the pixel less its mean.
    """

    filter: Tensor

    def __init__(self, w_hpf: float) -> None:
        super().__init__()
        kernel = torch.full((3, 3), -1.0)
        kernel[1, 1] = 8.0
        self.register_buffer("filter", kernel / w_hpf)
        self.scale = kernel.numel() / w_hpf

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, C, H, W) of the same shape."""
        return self.scale * (x_BCHW - F.avg_pool2d(x_BCHW, 3, stride=1, padding=1))


class Generator(nn.Module):
    """Translates an image into a style: a normalising encoder, and a decoder in the style.

    33,892,995 parameters at 256x256 without the high-pass skip.
    """

    def __init__(self, network: StarGANv2Network) -> None:
        super().__init__()
        self.num_halvings = network.num_halvings
        has_shortcut = network.w_hpf <= 0
        widths = network.widths(self.num_halvings)
        steps = [*itertools.pairwise(widths), *[(widths[-1], widths[-1])] * 2]
        self.from_rgb = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(
            ResidualBlock(wide_in, wide_out, normalises=True, halves=number < self.num_halvings)
            for number, (wide_in, wide_out) in enumerate(steps)
        )
        self.decode = nn.ModuleList(
            StyledBlock(
                wide_out,
                wide_in,
                network.style_width,
                doubles=number >= len(steps) - self.num_halvings,
                has_shortcut=has_shortcut,
            )
            for number, (wide_in, wide_out) in enumerate(reversed(steps))
        )
        self.to_rgb = nn.Sequential(
            nn.InstanceNorm2d(widths[0], affine=True),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(widths[0], 3, 1),
        )
        self.hpf = None if has_shortcut else HighPass(network.w_hpf)

    def forward(self, image_BCHW: Tensor, style_BS: Tensor, *masks_B1HW: Tensor) -> Tensor:
        """Translate images.

        Args:
            image_BCHW: (B, 3, H, W) in [-1, 1]; of a model with a high-pass skip at the size of
                training, else any multiple of 2 to the number of halvings.
            style_BS: (B, S) styles.
            masks_B1HW: face heat maps in [0, 1] of any size, for features of 32 pixels and for
                those of 64 and 128; without them, as with zeros, the skip adds nothing.

        Returns:
            (B, 3, H, W), in [-1, 1] but for some overshoot.
        """
        if not torch.compiler.is_compiling():
            height, width = image_BCHW.shape[2:]
            check_generator_size(height, width, self.num_halvings)
        kept: dict[int, Tensor] = {}
        x_BCHW = self.from_rgb(image_BCHW)
        for block in self.encode:
            if masks_B1HW and x_BCHW.shape[2] in MASKED_SIDES:
                kept[x_BCHW.shape[2]] = x_BCHW
            x_BCHW = block(x_BCHW)
        for block in self.decode:
            x_BCHW = block(x_BCHW, style_BS)
            if masks_B1HW and x_BCHW.shape[2] in kept:
                x_BCHW = x_BCHW + self._skip(kept[x_BCHW.shape[2]], masks_B1HW)
        out: Tensor = self.to_rgb(x_BCHW)
        return out

    def _skip(self, features_BCHW: Tensor, masks_B1HW: Sequence[Tensor]) -> Tensor:
        assert self.hpf is not None
        side = features_BCHW.shape[2]
        mask_B1HW = F.interpolate(
            masks_B1HW[MASKED_SIDES[side]], size=(side, side), mode="bilinear", align_corners=False
        )
        skipped: Tensor = self.hpf(mask_B1HW * features_BCHW)
        return skipped


class MappingNetwork(nn.Module):
    """Makes styles of latents; 2,438,272 parameters with two domains."""

    def __init__(self, network: StarGANv2Network) -> None:
        super().__init__()
        width = network.mapping_width
        self.shared = _perceptron([network.latent_width, *[width] * NUM_MAPPING_LAYERS])
        self.shared.append(nn.ReLU())
        self.unshared = nn.ModuleList(
            _perceptron([*[width] * NUM_MAPPING_LAYERS, network.style_width])
            for _ in range(network.num_domains)
        )

    def forward(self, latent_BZ: Tensor, domain_B: Tensor) -> Tensor:
        """Styles (B, S) of latents (B, Z) from N(0, 1) for domains (B,)."""
        shared = self.shared(latent_BZ)
        return pick([head(shared) for head in self.unshared], domain_B)


class StyleEncoder(nn.Module):
    """Makes styles of reference images; 20,916,928 parameters at 256x256 with two domains."""

    def __init__(self, network: StarGANv2Network) -> None:
        super().__init__()
        self.shared, width = _pyramid(network)
        self.unshared = nn.ModuleList(
            nn.Linear(width, network.style_width) for _ in range(network.num_domains)
        )

    def forward(self, image_BCHW: Tensor, domain_B: Tensor) -> Tensor:
        """Styles (B, S) of images (B, 3, size, size) in [-1, 1] for domains (B,)."""
        shared = self.shared(image_BCHW).flatten(1)
        return pick([head(shared) for head in self.unshared], domain_B)


class Discriminator(nn.Module):
    """Scores images of a domain; 20,852,290 parameters at 256x256 with two domains."""

    def __init__(self, network: StarGANv2Network) -> None:
        super().__init__()
        self.main, width = _pyramid(network)
        self.main.append(nn.Conv2d(width, network.num_domains, 1))

    def forward(self, image_BCHW: Tensor, domain_B: Tensor) -> Tensor:
        """Scores (B,), positive where real, of images (B, 3, size, size) in [-1, 1]."""
        scores_BK: Tensor = self.main(image_BCHW).flatten(1)
        return scores_BK.gather(1, domain_B[:, None])[:, 0]


def pick(heads_K: Sequence[Tensor], domain_B: Tensor) -> Tensor:
    """Each row's (B, S) of the heads (B, S) of all domains."""
    heads_BKS = torch.stack(list(heads_K), dim=1)
    index_B1S = domain_B[:, None, None].expand(-1, 1, heads_BKS.shape[2])
    return heads_BKS.gather(1, index_B1S)[:, 0]


def check_generator_size(height: int, width: int, num_halvings: int) -> None:
    """Refuse sizes that the generator's encoder cannot halve and its decoder restore.

    Raises:
        UsageError: height or width is not a multiple of 2 to the number of halvings.
    """
    multiple = 2**num_halvings
    if height % multiple or width % multiple or not height or not width:
        raise UsageError(
            f"the generator takes heights and widths that are multiples of {multiple}, "
            f"not {height}x{width}"
        )


def draw_weights(network: nn.Module) -> None:
    """Draw weights as He (2015) does for ReLU; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Build the networks by role from the card's `network` table, with fresh weights."""
    table = from_mapping(StarGANv2Network, network)
    networks: dict[str, nn.Module] = {
        "generator": Generator(table),
        "mapping_network": MappingNetwork(table),
        "style_encoder": StyleEncoder(table),
    }
    if table.has_discriminator:
        networks["discriminator"] = Discriminator(table)
    for each in networks.values():
        draw_weights(each)
    return networks


def _widening(wide_in: int, wide_out: int) -> nn.Module:
    """A shortcut's 1x1 convolution where widths differ."""
    return nn.Identity() if wide_in == wide_out else nn.Conv2d(wide_in, wide_out, 1, bias=False)


def _perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for wide_in, wide_out in itertools.pairwise(widths):
        layers += [nn.Linear(wide_in, wide_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _pyramid(network: StarGANv2Network) -> tuple[nn.Sequential, int]:
    """The layers of style encoder and discriminator down to one pixel, and their width."""
    num_halvings = network.image_size.bit_length() - LAST_SIDE.bit_length()
    widths = network.widths(num_halvings)
    blocks = (ResidualBlock(a, b, halves=True) for a, b in itertools.pairwise(widths))
    layers = [
        nn.Conv2d(3, widths[0], 3, padding=1),
        *blocks,
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(widths[-1], widths[-1], LAST_SIDE),
        nn.LeakyReLU(SLOPE),
    ]
    return nn.Sequential(*layers), widths[-1]
