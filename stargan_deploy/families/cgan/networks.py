"""The conditional GAN (Mirza and Osindero, 2014) on DCGAN's networks: both are given the class.

The class enters the generator beside the noise, and the discriminator as planes beside the
picture's channels, one for each class, of which that of the class is one and the others zero. The
paper's own networks are fully connected. DCGAN's conditional code (Newmu/dcgan_code) gives the
class to every layer; here the first alone has it.

Shape legend: B batch, C channels, H height, W width, Z latent width, K classes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import from_mapping
from stargan_deploy.families.blocks.initialisation import draw_weights
from stargan_deploy.families.blocks.latent import SAMPLE, entry_module, entry_network, sample_point
from stargan_deploy.families.blocks.relabelling import fit_labels
from stargan_deploy.families.dcgan import networks as dcgan
from stargan_deploy.families.defaults import notes

__all__ = [
    "build_networks",
    "entry_module",
    "entry_network",
    "entry_points",
    "notes",
    "relabel",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CGANNetwork(dcgan.DCGANNetwork):
    """Everything that rebuilds the networks; the card's `network` table."""

    num_classes: int
    """Number K of classes."""


class ConditionalGenerator(nn.Module):
    """Pictures of a class from noise."""

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
        """Pictures (B, C, H, W) in [-1, 1] from latents (B, Z) and class indices (B,)."""
        label_BK = one_hot(class_B, self.num_classes).to(latent_BZ.dtype)
        image: Tensor = self.generator(torch.cat([latent_BZ, label_BK], dim=1))
        return image


class ConditionalDiscriminator(nn.Module):
    """Scores of pictures of a class."""

    def __init__(self, config: CGANNetwork) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        self.discriminator = dcgan.Discriminator(
            config.sides,
            channels=config.channels + config.num_classes,
            conv_dim=config.discriminator_conv_dim,
        )

    def forward(self, image_BCHW: Tensor, class_B: Tensor) -> Tensor:
        """Scores (B, 1), positive where real, of pictures in [-1, 1] and class indices (B,)."""
        label_BK = one_hot(class_B, self.num_classes).to(image_BCHW.dtype)
        planes_BKHW = label_BK[:, :, None, None].expand(-1, -1, *image_BCHW.shape[2:])
        scores: Tensor = self.discriminator(torch.cat([image_BCHW, planes_BKHW], dim=1))
        return scores


def one_hot(class_B: Tensor, num_classes: int) -> Tensor:
    """Which class holds (B, K); by comparing, which every runtime knows how to do."""
    return class_B[:, None] == torch.arange(num_classes, device=class_B.device)


def build_networks(network: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Generator and discriminator with fresh weights."""
    config = from_mapping(CGANNetwork, network)
    networks: dict[str, nn.Module] = {
        "generator": ConditionalGenerator(config),
        "discriminator": ConditionalDiscriminator(config),
    }
    for player in networks.values():
        draw_weights(player)
    return networks


def entry_points(
    networks: Mapping[str, nn.Module],  # noqa: ARG001 - the protocol
    card: ModelCard,
) -> dict[str, EntryPoint]:
    """`sample`, from a latent and a class index."""
    config = from_mapping(CGANNetwork, card.network)
    point = sample_point(
        latent_width=config.latent_width,
        image_size=config.image_size,
        num_classes=config.num_classes,
    )
    return {SAMPLE: point}


def relabel(
    role: str,
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    *,
    old: LabelSpace,
    new: LabelSpace,
) -> dict[str, Tensor]:
    """Fits weights to other classes, which enter the first layer beside the noise or the picture.

    Args:
        role: "generator" or "discriminator".
        weights: trained for the classes `old`.
        fresh: of a new network for the classes `new`; classes unknown to `old` keep these.
        old: the classes behind `weights`.
        new: the classes wanted.

    Raises:
        ModelError: the networks differ in more than their classes.
    """
    axis = 0 if role == "generator" else 1  # a transposed convolution has its inputs first
    key = f"{role}.main.0.weight"
    return fit_labels(weights, fresh, key, axis=axis, old=old.names, new=new.names)
