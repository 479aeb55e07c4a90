"""The GAN's objective (Goodfellow et al., NIPS 2014, algorithm 1).

    min_G max_D V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))]                          (eq. 1)

with x from the data and z the noise. k steps of the discriminator for each of the generator
(`train.critic_steps`). Early in learning log(1 - D(G(z))) saturates, so that the generator rather
maximises log D(G(z)) (section 3): this is "nonsaturating", the default and what the authors' code
does; "minimax" is eq. 1 as it stands. Their code halves -V for the discriminator, which Adam does
not notice; it moves by momentum and a falling rate, where Adam stands here.
"""

from dataclasses import dataclass
from typing import Literal

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.families.gan.networks import GANNetwork
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

    channels: Literal[1, 3] = 1
    """1 for grey images, 3 for colour."""
    latent_width: int = 100
    """Width of the noise."""
    generator_width: int = 1200
    """Units of each hidden layer of the generator."""
    discriminator_width: int = 240
    """Maxout units of each hidden layer of the discriminator."""
    maxout_pieces: int = 5
    """Linear pieces of a maxout unit."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


def create_objective(
    recipe: Recipe,
    labels: LabelSpace,  # noqa: ARG001 - there are none in this game
    *,
    num_steps: int,
) -> NoiseObjective:
    """Builds networks, players and phases from a resolved recipe."""
    network = GANNetwork(image_size=recipe.data.image_size, **to_mapping(recipe.model))
    return NoiseObjective(
        NoiseGame(
            family="gan",
            network=to_mapping(network),
            channels=network.channels,
            adversarial=recipe.loss.adversarial,
            players=(discriminator_player(recipe.train), generator_player(recipe.train)),
            phases=single_phase(recipe, num_steps),
        )
    )
