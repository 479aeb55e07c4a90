"""DCGAN's objective (Radford, Metz and Chintala, ICLR 2016): the GAN's, on convolutional networks.

    L_D = -E[log D(x)] - E[log(1 - D(G(z)))]
    L_G = -E[log D(G(z))]

Adam (0.5, 0.999); one step of the generator for each of the discriminator, on the same noise, as in
PyTorch's example. The first author's code draws new noise and adds a weight decay.
"""

from dataclasses import dataclass
from typing import Literal

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.families.dcgan.networks import DCGANNetwork
from stargan_deploy.families.objectives.players import (
    discriminator_player,
    generator_player,
    single_phase,
)
from stargan_deploy.families.objectives.unconditional import LossConfig, NoiseGame, NoiseObjective
from stargan_deploy.training.recipe import Recipe

__all__ = ["LossConfig", "ModelConfig", "create_objective"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of the networks."""

    channels: Literal[1, 3] = 3
    """1 for grey images, 3 for colour."""
    latent_width: int = 100
    """Width of the noise."""
    generator_conv_dim: int = 64
    """Features of the generator's last hidden layer; each layer before it has twice as many."""
    discriminator_conv_dim: int = 64
    """Features of the discriminator's first layer; each layer after it has twice as many."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


def create_objective(
    recipe: Recipe,
    labels: LabelSpace,  # noqa: ARG001 - there are none in this game
    *,
    num_steps: int,
) -> NoiseObjective:
    """Builds networks, players and phases from a resolved recipe."""
    network = DCGANNetwork(image_size=recipe.data.image_size, **to_mapping(recipe.model))
    return NoiseObjective(
        NoiseGame(
            family="dcgan",
            network=to_mapping(network),
            channels=network.channels,
            adversarial=recipe.loss.adversarial,
            players=(discriminator_player(recipe.train), generator_player(recipe.train)),
            phases=single_phase(recipe, num_steps),
        )
    )
