"""The conditional GAN (Mirza and Osindero, 2014) on DCGAN's networks: both are given the class.

The class enters the generator next to the noise, and the discriminator as planes next to the
image's channels: one plane per class, filled with ones for the image's class and with zeros for the
others. The paper's own networks are fully connected. DCGAN's conditional code (Newmu/dcgan_code)
gives the class to every layer; here only the first layer has it.

Shape legend: B batch, C channels, H height, W width, Z latent width, K classes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.config import from_mapping
from stargan_deploy.families.blocks.initialisation import draw_weights
from stargan_deploy.families.dcgan import networks as dcgan


@dataclasses.dataclass(frozen=True, kw_only=True)
class CGANNetwork(dcgan.DCGANNetwork):
    """Everything that rebuilds the networks; the card's `network` table."""

    num_classes: int
    """Number K of classes."""


class ConditionalGenerator(nn.Module):
    """Images of a class from noise."""

    def __init__(self, config: CGANNetwork) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.generator = dcgan.Generator(
            config.sides,
            width_in=config.latent_width + config.num_classes,
            conv_dim=config.generator_conv_dim,
            channels=config.channels,
        )

    def forward(self, latent_BZ: Tensor, class_B: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] from latents (B, Z) and class indices (B,)."""
        label_BK = one_hot(class_B, self.num_classes).to(latent_BZ.dtype)
        image: Tensor = self.generator(torch.cat([latent_BZ, label_BK], dim=1))
        return image


class ConditionalDiscriminator(nn.Module):
    """Scores of images of a class."""

    def __init__(self, config: CGANNetwork) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.discriminator = dcgan.Discriminator(
            config.sides,
            channels=config.channels + config.num_classes,
            conv_dim=config.discriminator_conv_dim,
        )

    def forward(self, image_BCHW: Tensor, class_B: Tensor) -> Tensor:
        """Scores (B, 1), positive where real, of images in [-1, 1] and class indices (B,)."""
        label_BK = one_hot(class_B, self.num_classes).to(image_BCHW.dtype)
        planes_BKHW = label_BK[:, :, None, None].expand(-1, -1, *image_BCHW.shape[2:])
        scores: Tensor = self.discriminator(torch.cat([image_BCHW, planes_BKHW], dim=1))
        return scores


def one_hot(class_B: Tensor, num_classes: int) -> Tensor:
    """One-hot labels (B, K), made by a comparison because every runtime supports those."""
    return class_B[:, None] == torch.arange(num_classes, device=class_B.device)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights."""
    config = from_mapping(CGANNetwork, network)
    networks: dict[str, nn.Module] = {
        "generator": ConditionalGenerator(config),
        "discriminator": ConditionalDiscriminator(config),
    }
    for built in networks.values():
        draw_weights(built)
    return networks
