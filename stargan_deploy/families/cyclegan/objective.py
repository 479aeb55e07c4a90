"""CycleGAN's objective (Zhu et al., ICCV 2017, equations 1 to 3 and sections 4 and 5.2).

    L_GAN(G, D_B)  : G minimises E[(D_B(G(a)) - 1)^2],
                     D_B minimises 1/2 E[(D_B(b) - 1)^2] + 1/2 E[D_B(G(a))^2]
    L_cyc(G, F)    = E[|F(G(a)) - a|_1] + E[|G(F(b)) - b|_1]
    L_identity     = E[|G(b) - b|_1] + E[|F(a) - a|_1]
    L(G, F)        = L_GAN(G, D_B) + L_GAN(F, D_A) + lambda L_cyc + 0.5 lambda L_identity

with G from A to B ("a2b"), F back ("b2a") and lambda = 10; L_GAN(F, D_A) the same the other way
round; |.|_1 is the mean over pixels and channels. The generators move first, together; the
discriminators see fakes out of a history of 50.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.distributed import Ranks
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.cyclegan.networks import (
    DIRECTIONS,
    CycleGANNetwork,
    build_networks,
    check_training_size,
    paper_blocks,
)
from stargan_deploy.families.objectives.adversarial import critic_terms
from stargan_deploy.families.objectives.base import Losses, Phase, Player, Samples, Tensors
from stargan_deploy.families.objectives.history import CAPACITY, ImageHistory
from stargan_deploy.families.objectives.players import (
    discriminator_player,
    generator_player,
    single_phase,
)
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.training.recipe import Recipe

DISCRIMINATORS = {"a": "discriminator_a", "b": "discriminator_b"}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of the networks."""

    generator_conv_dim: int = 64
    """Features of a generator's first layer."""
    generator_blocks: int | None = None
    """Residual blocks of a generator; absent takes the paper's: 9 from 256x256 on, else 6."""
    discriminator_conv_dim: int = 64
    """Features of a discriminator's first layer."""
    discriminator_halvings: int = 3
    """Stride-2 layers of a discriminator; 3 judges patches of 70x70 pixels."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))

    def for_size(self, image_size: int) -> "ModelConfig":
        """With the number of blocks that goes with a side in pixels, where none is given."""
        return replace(self, generator_blocks=self.generator_blocks or paper_blocks(image_size))


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the losses."""

    lambda_cycle: float = 10.0
    """Weight of the way there and back."""
    lambda_identity: float = 0.5
    """Weight of leaving an image alone that is of the domain already, relative to the cycle's."""

    def __post_init__(self) -> None:
        refuse_below(0, vars(self))


class CycleGANObjective:
    """Two generators against two discriminators; satisfies `Objective`."""

    averaged = DIRECTIONS
    grows = False
    takes = ("image_a", "image_b")
    labels: LabelSpace = NO_LABELS

    def __init__(
        self,
        *,
        network: CycleGANNetwork,
        loss: LossConfig,
        players: tuple[Player, ...],
        phases: tuple[Phase, ...],
    ) -> None:
        self._network = network
        self._loss = loss
        self._phases = phases
        self.players = players
        self.networks = build_networks(self.network_table())
        self.called: dict[str, nn.Module] = dict(self.networks)
        self.frozen: dict[str, nn.Module] = {}
        self.ranks = Ranks()
        self._histories = {domain: ImageHistory() for domain in DISCRIMINATORS}

    def phases(self) -> tuple[Phase, ...]:
        """One phase: the networks do not grow."""
        return self._phases

    def begin_step(self, step: int) -> None:
        """Nothing changes with the step."""

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws what the histories show: `place_a` (B,), `is_old_a` (B,), and the same of b."""
        rows = len(batch["label"])
        draws: Tensors = {}
        for domain in DISCRIMINATORS:
            draws[f"place_{domain}"] = torch.randint(CAPACITY, (rows,), generator=random)
            draws[f"is_old_{domain}"] = torch.rand(rows, generator=random) < 0.5
        return draws

    def share(self, batch: Tensors, draws: Tensors, moving: tuple[str, ...]) -> Tensors:
        """Makes the fakes `fake_a`, `fake_b`, and takes what the discriminators will be shown."""
        networks = self.called if "generator" in moving else self.networks
        with torch.set_grad_enabled("generator" in moving):
            fakes = {
                "a": networks["b2a"](batch["image_b"]),
                "b": networks["a2b"](batch["image_a"]),
            }
        shared = {f"fake_{domain}": fake for domain, fake in fakes.items()}
        return shared | {f"shown_{d}": self._exchange(d, fake, draws) for d, fake in fakes.items()}

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """The loss of "generator" (both) or "discriminator" (both) on images in [-1, 1]."""
        if player == "generator":
            return self._generator_losses(batch, draws)
        total = torch.zeros((), device=batch["image_a"].device)
        terms: Tensors = {}
        for domain, role in DISCRIMINATORS.items():
            real = at_least_fp32(self.called[role](batch[f"image_{domain}"]))
            shown = at_least_fp32(self.called[role](draws[f"shown_{domain}"]))
            on_real, on_fake = critic_terms("lsgan", real, shown)
            total = total + on_real + on_fake
            terms |= {f"d_real_{domain}": on_real, f"d_fake_{domain}": on_fake}
        return Losses(total=total, terms=terms)

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """Rows: images of both domains; columns: translated, and back again."""
        a, b = batch["image_a"], batch["image_b"]
        fake_b, fake_a = networks["a2b"](a), networks["b2a"](b)
        back_a, back_b = networks["b2a"](fake_b), networks["a2b"](fake_a)
        images = torch.stack([a, fake_b, back_a, b, fake_a, back_b], dim=1)
        headings = ("A", "A to B", "and back", "B", "B to A", "and back")
        return Samples(images=images, headings=headings)

    def evaluate(self, networks: Mapping[str, nn.Module], held_out: Tensors) -> dict[str, float]:
        """How much a translation changes, and what is left of it on the way back, in levels."""
        figures = {}
        for there, back, domain in (("a2b", "b2a", "a"), ("b2a", "a2b", "b")):
            own = held_out[f"image_{domain}"]
            made = torch.cat([networks[there](row) for row in torch.split(own, 1)])
            again = torch.cat([networks[back](row) for row in torch.split(made, 1)])
            figures[f"change_levels_{there}"] = levels_between(own, made)
            figures[f"cycle_levels_{domain}"] = levels_between(own, again)
        return figures

    def network_table(self) -> dict[str, Any]:
        """The networks' shape, for the card."""
        return to_mapping(self._network)

    def state_dict(self) -> Tensors:
        """The histories."""
        state: Tensors = {}
        for domain, history in self._histories.items():
            state |= history.state_dict(f"history_{domain}")
        return state

    def load_state_dict(self, state: Tensors) -> None:
        """Takes back the histories."""
        for domain, history in self._histories.items():
            history.load_state_dict(state, f"history_{domain}")

    def _exchange(self, domain: str, fake_BCHW: Tensor, draws: Tensors) -> Tensor:
        """What to show for this rank's fakes; all ranks keep the same history of all fakes."""
        new = (fake_BCHW.detach(), draws[f"place_{domain}"], draws[f"is_old_{domain}"])
        shown = self._histories[domain].exchange(*map(self.ranks.gather, new))
        return shown[self.ranks.share_of(len(shown))]

    def _generator_losses(self, batch: Tensors, draws: Tensors) -> Losses:
        a, b = batch["image_a"], batch["image_b"]
        terms = {
            "g_fake_a": self._fooling("a", draws["fake_a"]),
            "g_fake_b": self._fooling("b", draws["fake_b"]),
            "g_cycle_a": _distance(self.called["b2a"](draws["fake_b"]), a),
            "g_cycle_b": _distance(self.called["a2b"](draws["fake_a"]), b),
        }
        cycle, identity = self._loss.lambda_cycle, self._loss.lambda_identity
        total = terms["g_fake_a"] + terms["g_fake_b"]
        total = total + cycle * (terms["g_cycle_a"] + terms["g_cycle_b"])
        if identity:
            terms["g_same_a"] = _distance(self.called["b2a"](a), a)
            terms["g_same_b"] = _distance(self.called["a2b"](b), b)
            total = total + cycle * identity * (terms["g_same_a"] + terms["g_same_b"])
        return Losses(total=total, terms=terms)

    def _fooling(self, domain: str, fake_BCHW: Tensor) -> Tensor:
        """E[(D(fake) - 1)^2], not halved."""
        scores = self.networks[DISCRIMINATORS[domain]](fake_BCHW)
        return (at_least_fp32(scores) - 1).square().mean()


def create_objective(
    recipe: Recipe,
    labels: LabelSpace,  # noqa: ARG001 - domains are no labels here
    *,
    num_steps: int,
) -> CycleGANObjective:
    """Builds networks, players and phases from a resolved recipe.

    Raises:
        UsageError: a size of training that one of the networks cannot halve that often.
    """
    network = CycleGANNetwork(**to_mapping(recipe.model))
    check_training_size(
        recipe.data.image_size, discriminator_halvings=network.discriminator_halvings
    )
    return CycleGANObjective(
        network=network,
        loss=recipe.loss,
        players=(
            generator_player(recipe.train, *DIRECTIONS),
            discriminator_player(recipe.train, *DISCRIMINATORS.values()),
        ),
        phases=single_phase(recipe, num_steps),
    )


def _distance(image_BCHW: Tensor, wanted_BCHW: Tensor) -> Tensor:
    return F.l1_loss(image_BCHW.to(wanted_BCHW.dtype), wanted_BCHW)
