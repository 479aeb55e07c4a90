"""Progressive GAN's objective (Karras et al., ICLR 2018, section 2 and appendix A.1).

    L_D = E[D(G(z))] - E[D(x)] + lambda_gp E[(|grad D(x')|_2 - 1)^2] + drift E[D(x)^2]
    L_G = -E[D(G(z))]

with x' on lines between x and G(z), lambda_gp = 10 and drift = 0.001. There is one step of the
generator for each of the critic.

Stage by stage the pictures double from 4x4 on. A stage after the first has two halves: in one it is
faded in, alpha rising linearly to 1, in the other it settles; real images are faded alike. All
halves have the same number of steps, and the first stage is one of them. The stage and alpha follow
from the number of the step alone, so there is nothing to remember for a resume. All stages have one
batch size (the paper's 16 up to 128x128), and Adam's moments go on from stage to stage, where the
authors' code starts them anew.

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.errors import ConfigError
from stargan_deploy.families.objectives.adversarial import critic_terms, gradient_penalty
from stargan_deploy.families.objectives.base import Losses, Phase, Tensors
from stargan_deploy.families.objectives.players import discriminator_player, generator_player
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.objectives.unconditional import NoiseGame, NoiseObjective
from stargan_deploy.families.progan.networks import (
    FIRST_SIDE,
    GrowingNetwork,
    ProGANNetwork,
    doubled,
)
from stargan_deploy.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths of the networks."""

    latent_width: int = 512
    """Width of the noise."""
    base_features: int = 8192
    """Features of a stage are this, halved once for stage 0 and again for each one after it ..."""
    max_features: int = 512
    """... but not more than this."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the critic's further terms."""

    lambda_gp: float = 10.0
    """Weight of the gradient penalty."""
    drift: float = 0.001
    """Weight of the squared scores of real images, which keeps them near zero."""

    def __post_init__(self) -> None:
        refuse_below(0, vars(self))


class GrowingObjective(NoiseObjective):
    """Growing generator against growing critic; satisfies `Objective`."""

    grows = True

    def __init__(self, game: NoiseGame, loss: LossConfig) -> None:
        super().__init__(game)
        self._loss = loss
        self.begin_step(0)

    def begin_step(self, step: int) -> None:
        """Brings the networks to the stage and the alpha of a step."""
        self._stage, self._alpha = growth(self._game.phases, step)
        for network in self.networks.values():
            assert isinstance(network, GrowingNetwork)
            network.grow(self._stage, self._alpha)

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws `latent` (B, Z) from N(0, 1) and the penalty's `between` (B, 1, 1, 1)."""
        draws = super().draw(batch, random)
        between_B111 = torch.rand(len(batch["label"]), 1, 1, 1, generator=random)
        return draws | {"between": between_B111}

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """The loss of "discriminator" or "generator"."""
        if player == "generator":
            return super().losses(player, batch, draws)
        real, fake = self._faded(batch["image"]), draws["fake"].detach()
        real_scores = at_least_fp32(self.called["discriminator"](real))
        fake_scores = at_least_fp32(self.called["discriminator"](fake.to(real.dtype)))
        on_real, on_fake = critic_terms("wgan-gp", real_scores, fake_scores)
        critic = self.networks["discriminator"]
        penalty = gradient_penalty(critic, real, fake, draws["between"])
        drift = real_scores.square().mean()
        total = on_real + on_fake + self._loss.lambda_gp * penalty + self._loss.drift * drift
        return Losses(total=total, terms={"d_real": on_real, "d_fake": on_fake, "d_gp": penalty})

    def network_table(self) -> dict[str, Any]:
        """The networks' shape, for the card, and how far they have grown."""
        return super().network_table() | {"stage": self._stage, "alpha": self._alpha}

    def _faded(self, image_BCHW: Tensor) -> Tensor:
        """Real images as blurred as the generator's are while a stage is faded in."""
        network = self.networks["discriminator"]
        assert isinstance(network, GrowingNetwork)
        if not network.fades:
            return image_BCHW
        return network.mix(doubled(F.avg_pool2d(image_BCHW, 2)), image_BCHW)


def growth(phases: tuple[Phase, ...], step: int) -> tuple[int, float]:
    """The stage of a step, and how far it is faded in, in (0, 1]."""
    stage, start = 0, 0
    while stage < len(phases) - 1 and step >= start + phases[stage].num_steps:
        start += phases[stage].num_steps
        stage += 1
    fade_steps = phases[stage].num_steps // 2 if stage else 0
    return stage, min(1.0, (step - start + 1) / fade_steps) if fade_steps else 1.0


def stage_phases(last_stage: int, *, num_steps: int, batch_size: int) -> tuple[Phase, ...]:
    """One phase a stage: a part of the steps for the first, and two for each after it.

    Raises:
        ConfigError: fewer steps than parts.
    """
    part = num_steps // (2 * last_stage + 1)
    if not part:
        raise ConfigError(
            f"{num_steps} steps are too few to grow to stage {last_stage}: give "
            f"{2 * last_stage + 1} or more"
        )
    lengths = [part, *[2 * part] * last_stage]
    lengths[-1] += num_steps - sum(lengths)
    return tuple(
        Phase(num_steps=length, image_size=FIRST_SIDE << stage, batch_size=batch_size)
        for stage, length in enumerate(lengths)
    )


def create_objective(
    recipe: Recipe,
    labels: LabelSpace,  # noqa: ARG001 - there are none in this game
    *,
    num_steps: int,
) -> GrowingObjective:
    """Builds networks, players and phases from a resolved recipe."""
    network = ProGANNetwork(image_size=recipe.data.image_size, **to_mapping(recipe.model))
    batch_size = recipe.train.batch_size
    phases = stage_phases(network.last_stage, num_steps=num_steps, batch_size=batch_size)
    game = NoiseGame(
        family="progan",
        network=to_mapping(network),
        channels=3,
        adversarial="wgan-gp",
        players=(discriminator_player(recipe.train), generator_player(recipe.train)),
        phases=phases,
    )
    return GrowingObjective(game, recipe.loss)
