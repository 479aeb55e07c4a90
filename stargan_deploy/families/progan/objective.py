"""Progressive GAN's objective (Karras et al., ICLR 2018, section 2 and appendix A.1).

    L_D = E[D(G(z))] - E[D(x)] + lambda_gp E[(|grad D(x')|_2 - 1)^2] + drift E[D(x)^2]
    L_G = -E[D(G(z))]

with x' on lines between x and G(z), lambda_gp = 10 and drift = 0.001. One generator step follows
each critic step.

Stage by stage the images double, starting at 4x4. A stage after the first has two halves: in one it
is faded in, alpha rising linearly to 1, in the other it settles; real images are faded in the same
way. All halves have the same number of steps, and the first stage counts as one. Stage and alpha
follow from the step number alone, so a resumed training needs no further state. All stages have one
batch size (the paper's 16 up to 128x128), and Adam's moments are kept from stage to stage, while
the authors' code resets them.

Shape legend: B batch, C channels, H height, W width, Z latent width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.errors import ConfigError
from stargan_deploy.families.objectives.adversarial import critic_terms, gradient_penalty
from stargan_deploy.families.objectives.base import (
    Losses,
    ObjectiveRequest,
    Phase,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.objectives.unconditional import UnconditionalObjective
from stargan_deploy.families.progan.networks import (
    FIRST_SIDE,
    GrowingNetwork,
    ProGANNetwork,
    build_networks,
    doubled,
)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the critic's regularising terms."""

    lambda_gp: float = 10.0
    """Weight of the gradient penalty."""
    drift: float = 0.001
    """Weight of the squared scores of real images, which keeps them near zero."""

    def __post_init__(self) -> None:
        refuse_below(0, vars(self))


class GrowingObjective(UnconditionalObjective):
    """Growing generator against growing critic."""

    grows = True

    def __init__(self, network: ProGANNetwork, request: ObjectiveRequest) -> None:
        phases = stage_phases(
            network.last_stage, num_steps=request.num_steps, batch_size=request.batch_size
        )
        super().__init__(
            build_networks(to_mapping(network)),
            network=network,
            request=request,
            adversarial="wgan-gp",
            phases=phases,
        )
        self._loss: LossConfig = request.loss
        self.begin_step(0)

    def begin_step(self, step: int) -> None:
        """Grow the networks to the stage and the alpha of a step."""
        stage, alpha = growth(self.phases, step)
        self._network_table |= {"stage": stage, "alpha": alpha}
        for network in self.networks.values():
            assert isinstance(network, GrowingNetwork)
            network.grow(stage, alpha)

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw `latent` (B, Z) from N(0, 1) and the penalty's `between` (B, 1, 1, 1)."""
        draws = super().draw(batch, random)
        between_B111 = torch.rand(len(batch["label"]), 1, 1, 1, generator=random)
        return draws | {"between": between_B111}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of "discriminator" or "generator"."""
        if update == "generator":
            return super().losses(update, batch, draws, training)
        real, fake = self._faded(batch["image"]), draws["fake"].detach()
        called = training.called["discriminator"]
        real_scores = at_least_fp32(called(real))
        fake_scores = at_least_fp32(called(fake.to(real.dtype)))
        on_real, on_fake = critic_terms("wgan-gp", real_scores, fake_scores)
        critic = self.networks["discriminator"]
        penalty = gradient_penalty(critic, real, fake, draws["between"])
        drift = real_scores.square().mean()
        total = on_real + on_fake + self._loss.lambda_gp * penalty + self._loss.drift * drift
        return Losses(total=total, terms={"d_real": on_real, "d_fake": on_fake, "d_gp": penalty})

    def _faded(self, image_BCHW: Tensor) -> Tensor:
        """Real images, blurred like the generator's while a stage is faded in."""
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
    """One phase per stage: one part of the steps for the first, two parts for each later one.

    Raises:
        ConfigError: fewer steps than parts.
    """
    part = num_steps // (2 * last_stage + 1)
    if not part:
        raise ConfigError(
            f"{num_steps} steps are too few to grow to stage {last_stage}",
            hint=f"set `train.steps` to {2 * last_stage + 1} or more",
        )
    lengths = [part, *[2 * part] * last_stage]
    lengths[-1] += num_steps - sum(lengths)
    return tuple(
        Phase(num_steps=length, image_size=FIRST_SIDE << stage, batch_size=batch_size)
        for stage, length in enumerate(lengths)
    )
