"""Trains a small generator after a large one, for any family.

    L = L_family + lambda_l1 |S(x) - T(x)|_1 + lambda_ssim (1 - SSIM(S(x), T(x)))
      + lambda_features mean_d |A_d f_d(S) - f_d(T)|^2 / |f_d(T)|^2

with student S, teacher T, features f_d at four depths d, and 1x1 convolutions A_d. L_family are the
family's own losses by the teacher's discriminator: adversarial, classification, and the cycle where
its weight is not zero (Yu and Pool, "Self-supervised generative adversarial compression", NeurIPS
2020). Images and features are those of OMGD (Ren et al., ICCV 2021) and GAN Compression (Li et al.,
CVPR 2020). Without the teacher's discriminator only what the teacher itself shows is left.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.card.card import Teacher
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.distillation.base import NUM_DEPTHS, Distillation
from stargan_deploy.families.distillation.config import DistillationConfig
from stargan_deploy.families.distillation.taps import Taps, collected
from stargan_deploy.families.distillation.terms import (
    Adapters,
    feature_distance,
    structural_similarity,
)
from stargan_deploy.families.objectives.base import (
    AUXILIARY,
    Losses,
    Networks,
    Objective,
    Samples,
    SelfEvaluating,
    Tensors,
    Training,
    Update,
)
from stargan_deploy.families.objectives.precision import at_least_fp32

ADAPTERS = f"{AUXILIARY}adapters"
"""Role of the 1x1 convolutions."""

_IMAGE, _OWN, _THEIRS = "teacher_image", "student_feature", "teacher_feature"
"""Beginnings of names of what is shared in a step."""


@dataclass(frozen=True, kw_only=True)
class TeacherNetworks:
    """A trained model to learn from."""

    networks: Networks
    """Its networks, in eval mode."""
    network_table: Mapping[str, Any]
    """The `network` table of its card."""
    facts: Teacher
    """What the student's card says about it."""


class DistillationObjective(Objective, SelfEvaluating):
    """A family's objective for a student, with a teacher at its side.

    Args:
        student: the family's objective, whose networks have their first weights.
        teacher: the model to learn from.
        how: the family's answers.
        config: the settings.
    """

    def __init__(
        self,
        student: Objective,
        teacher: TeacherNetworks,
        *,
        how: Distillation,
        config: DistillationConfig,
    ) -> None:
        self._student, self._how, self._config = student, how, config
        others = [role for role in student.networks if role not in how.roles]
        self.is_supervised = bool(others) and all(role in teacher.networks for role in others)
        """Whether the teacher's discriminators take part."""
        layers = how.features(student.network_table())
        depths = [layers, how.features(teacher.network_table)]
        adapters = Adapters(*(each * len(how.roles) for each in depths))
        kept = (
            student.networks if self.is_supervised else {r: student.networks[r] for r in how.roles}
        )
        updates = self._with_adapters(student)
        moved = {role for update in updates for role in update.networks}
        super().__init__(
            {**kept, ADAPTERS: adapters},
            network_table=student.network_table(),
            players=tuple(
                replace(player, networks=(*player.networks, ADAPTERS))
                if set(player.networks) & set(how.roles)
                else player
                for player in student.players
                if set(player.networks) <= moved
            ),
            updates=updates,
            phases=student.phases,
            labels=student.labels,
        )
        self.averaged = student.averaged
        self.grows = student.grows
        self.takes = student.takes
        self.takes_references = student.takes_references
        self.warms_up_averages = student.warms_up_averages
        self.teacher = teacher.facts
        generators = {role: teacher.networks[role] for role in how.roles}
        self.frozen = {"teacher": _InEvalMode(generators), **student.frozen}
        self._teacher: Networks = generators
        self._own_taps = [Taps(student.networks[role], layers) for role in how.roles]
        self._their_taps = [Taps(generators[role], depths[1]) for role in how.roles]

    @property
    def evaluated(self) -> Objective:
        """The student's, which classifies by the discriminator, if there is one."""
        return self._student if self.is_supervised else self

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """The family's draws."""
        return self._student.draw(batch, random)

    def begin_step(self, step: int) -> None:
        """Prepare the family's objective."""
        self._student.begin_step(step)

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """What the family shares, the teacher's images, and the features of both."""
        if not any(
            update.name in due and self._teaches(update.networks) for update in self.updates
        ):
            return self._student.share(batch, draws, due, training)
        with collected(self._own_taps) as own:
            shared = self._student.share(batch, draws, due, training)
        with torch.no_grad(), collected(self._their_taps) as theirs:
            for call in self._how.translations(batch, draws | shared):
                shared[f"{_IMAGE}.{call.role}"] = self._teacher[call.role](*call.inputs)
        shared |= {f"{_OWN}.{number}": each for number, each in enumerate(own)}
        return shared | {f"{_THEIRS}.{number}": each for number, each in enumerate(theirs)}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The family's loss, and for the student what the teacher adds."""
        moved = next(each for each in self.updates if each.name == update)
        if not self._teaches(moved.networks):
            return self._student.losses(update, batch, draws, training)
        taught = self._taught(batch, draws, training)
        if not self.is_supervised:
            return taught
        own = self._student.losses(update, batch, draws, training)
        return Losses(total=own.total + taught.total, terms={**own.terms, **taught.terms})

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """The family's images, and next to them those of the teacher."""
        own = self._student.sample(networks, batch)
        theirs = self._student.sample(self._teacher, batch)
        made = [
            column
            for column in range(own.images.shape[1])
            if not torch.equal(own.images[:, column], theirs.images[:, column])
        ]
        headings = (*own.headings, *(f"teacher: {own.headings[column]}" for column in made))
        return Samples(
            images=torch.cat([own.images, theirs.images[:, made]], dim=1), headings=headings
        )

    def evaluate(self, networks: Networks, held_out: Tensors) -> dict[str, float]:
        """How far the samples of held-out images are from the teacher's, in 8-bit levels."""
        own = self._student.sample(networks, held_out)
        theirs = self._student.sample(self._teacher, held_out)
        return {"teacher_levels": levels_between(own.images, theirs.images)}

    def held_out_figures(
        self, networks: Mapping[str, nn.Module], batches: Iterable[Tensors]
    ) -> dict[str, float]:
        """The family's figures, where its discriminator is there."""
        return self.evaluated.held_out_figures(networks, batches) if self.is_supervised else {}

    def network_table(self) -> dict[str, Any]:
        """The student's."""
        return self._student.network_table()

    def state_dict(self) -> Tensors:
        """The family's."""
        return self._student.state_dict()

    def load_state_dict(self, state: Tensors) -> None:
        """Restore the family's."""
        self._student.load_state_dict(state)

    def _teaches(self, roles: Iterable[str]) -> bool:
        return bool(set(roles) & set(self._how.roles))

    def _with_adapters(self, student: Objective) -> tuple[Update, ...]:
        """The family's updates that take place, with the adapters where the generators move."""
        plays = self.is_supervised and self._config.discriminator == "trained"
        kept = [each for each in student.updates if plays or self._teaches(each.networks)]
        return tuple(
            replace(each, networks=(*each.networks, ADAPTERS), every=each.every if plays else 1)
            if self._teaches(each.networks)
            else each
            for each in kept
        )

    def _taught(self, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The losses by the teacher's images and features."""
        pairs = [
            (at_least_fp32(call.image_BCHW), at_least_fp32(draws[f"{_IMAGE}.{call.role}"]))
            for call in self._how.translations(batch, draws)
        ]
        config, terms = self._config, dict[str, Tensor]()
        terms["t_l1"] = torch.stack([F.l1_loss(own, theirs) for own, theirs in pairs]).mean()
        total = config.lambda_l1 * terms["t_l1"]
        if config.lambda_ssim:
            similar = torch.stack([structural_similarity(own, theirs) for own, theirs in pairs])
            terms["t_ssim"] = 1 - similar.mean()
            total = total + config.lambda_ssim * terms["t_ssim"]
        if config.lambda_features:
            numbers = range(NUM_DEPTHS * len(self._how.roles))
            own, theirs = ([draws[f"{name}.{n}"] for n in numbers] for name in (_OWN, _THEIRS))
            adapted = training.called[ADAPTERS](own)
            terms["t_features"] = feature_distance(config.features, adapted, theirs)
            total = total + config.lambda_features * terms["t_features"]
        return Losses(total=total, terms=terms)


class _InEvalMode(nn.ModuleDict):
    """Networks that stay in eval mode while others train, so that batch norm does not move."""

    def train(self, mode: bool = True) -> "_InEvalMode":
        """Stay in eval mode."""
        return super().train(False)
