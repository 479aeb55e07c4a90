"""The first GAN's two networks (Goodfellow et al., NIPS 2014): fully connected, for small images.

Sizes are those of the authors' own code for MNIST (goodfeli/adversarial, `mnist.yaml`): a generator
of two rectified layers of 1200, and a discriminator of two maxout layers of 240 units with 5 pieces
each. What differs: images are in [-1, 1] here, so the last layer has a tanh, which is the
original's sigmoid for another range; the discriminator has no dropout (theirs drops a fifth of the
pixels and half of its units); noise is from N(0, 1), theirs uniform with the same mean and
variance; and weights start as PyTorch draws them, theirs uniform within 0.05 (generator) and 0.005.

Shape legend: B batch, C channels, H height, W width, Z latent width, F features.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from stargan_deploy.config import from_mapping, refuse_below


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of the networks."""

    channels: Literal[1, 3] = 1
    """1 for grey images, 3 for colour."""
    latent_width: int = 100
    """Width Z of the noise."""
    generator_width: int = 1200
    """Units of each hidden layer of the generator."""
    discriminator_width: int = 240
    """Maxout units of each hidden layer of the discriminator."""
    maxout_pieces: int = 5
    """Linear pieces of a maxout unit."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANNetwork(ModelConfig):
    """Everything that rebuilds the networks; the card's `network` table."""

    image_size: int
    """Side of the images in pixels."""


class Maxout(nn.Module):
    """Units that are the greatest of several linear pieces (Goodfellow et al., ICML 2013)."""

    def __init__(self, width_in: int, width_out: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width_in, width_out * pieces)
        self.pieces = pieces

    def forward(self, x_BF: Tensor) -> Tensor:
        """Features (B, width_out)."""
        pieces: Tensor = self.linear(x_BF).unflatten(1, (-1, self.pieces))
        return pieces.amax(dim=2)


class Generator(nn.Module):
    """Images from noise; 2,503,984 parameters for MNIST."""

    def __init__(self, config: GANNetwork) -> None:
        super().__init__()
        self.shape = (config.channels, config.image_size, config.image_size)
        width = config.generator_width
        self.main = nn.Sequential(
            nn.Linear(config.latent_width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, config.channels * config.image_size**2),
            nn.Tanh(),
        )

    def forward(self, latent_BZ: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] from latents (B, Z)."""
        image: Tensor = self.main(latent_BZ).unflatten(1, self.shape)
        return image


class Discriminator(nn.Module):
    """Scores of images; 1,231,441 parameters for MNIST."""

    def __init__(self, config: GANNetwork) -> None:
        super().__init__()
        width, pieces = config.discriminator_width, config.maxout_pieces
        self.main = nn.Sequential(
            nn.Flatten(),
            Maxout(config.channels * config.image_size**2, width, pieces),
            Maxout(width, width, pieces),
            nn.Linear(width, 1),
        )

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Scores (B, 1), positive where real, of images in [-1, 1]."""
        scores: Tensor = self.main(image_BCHW)
        return scores


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights."""
    config = from_mapping(GANNetwork, network)
    return {"generator": Generator(config), "discriminator": Discriminator(config)}
