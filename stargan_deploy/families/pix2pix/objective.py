"""pix2pix's objective (Isola et al., CVPR 2017, equations 1, 3 and 4).

    L_cGAN(G, D) = E[log D(x, y)] + E[log(1 - D(x, G(x, z)))]
    L_L1(G)      = E[|y - G(x, z)|_1]
    G*           = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G),   lambda = 100

with x the input ("condition"), y the output ("image"), and z the dropout alone; |.|_1 is the mean
over pixels and channels, as in the authors' code. As in the paper (section 3.3), the
discriminator's loss is halved, and the generator minimises -E[log D(x, G(x, z))]. The preset's rate
falls over the second half, as in the authors' PyTorch version; in their first one it stays.

Shape legend: B batch, C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.distributed import Ranks
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.blocks.patchgan import NormName
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    refuse_without_penalty,
)
from stargan_deploy.families.objectives.base import Losses, Phase, Player, Samples, Tensors
from stargan_deploy.families.objectives.players import (
    discriminator_player,
    generator_player,
    single_phase,
)
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.pix2pix.networks import (
    KEPT_SHARE,
    Pix2PixNetwork,
    UNet,
    build_networks,
)
from stargan_deploy.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of the networks."""

    levels: int = 8
    """Times that the U-Net halves an image; the image size is a multiple of 2 to this power."""
    generator_conv_dim: int = 64
    """Features of the U-Net's outermost level."""
    discriminator_conv_dim: int = 64
    """Features of the discriminator's first layer."""
    discriminator_halvings: int = 3
    """Stride-2 layers of the discriminator; 3 judges patches of 70x70 pixels."""
    norm: NormName = "batch"
    """Norm of both networks; the paper has batch norm."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Terms and weights of the losses."""

    adversarial: AdversarialName = "nonsaturating"
    """The adversarial terms: "nonsaturating" as in the paper, or "minimax", "lsgan" or "hinge" of
    `families.objectives.adversarial`. "wgan-gp" will not do: there is no gradient penalty here."""
    lambda_l1: float = 100.0
    """Weight of the distance to the true output."""

    def __post_init__(self) -> None:
        refuse_without_penalty(self.adversarial)
        if self.lambda_l1 < 0:
            raise ValueError(f"lambda_l1 cannot be negative: {self.lambda_l1}")


class Pix2PixObjective:
    """U-Net against a discriminator of pairs; satisfies `Objective`."""

    averaged = ("generator",)
    grows = False
    takes = ("condition", "image")
    labels: LabelSpace = NO_LABELS

    def __init__(
        self,
        *,
        network: Pix2PixNetwork,
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
        generator = self.networks["generator"]
        assert isinstance(generator, UNet)
        self._mask_shapes = generator.mask_shapes(network.image_size, network.image_size)

    def phases(self) -> tuple[Phase, ...]:
        """One phase: the networks do not grow."""
        return self._phases

    def begin_step(self, step: int) -> None:
        """Nothing changes with the step."""

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws the dropout's masks (B, C, h, w) of zeros and ones."""
        rows = len(batch["label"])
        return {
            name: (torch.rand(rows, *shape, generator=random) < KEPT_SHARE).float()
            for name, shape in self._mask_shapes.items()
        }

    def share(self, batch: Tensors, draws: Tensors, moving: tuple[str, ...]) -> Tensors:
        """Makes the batch's fakes once for both players, `fake` (B, 3, H, W) in [-1, 1]."""
        masks = [draws[name] for name in self._mask_shapes]
        if "generator" in moving:
            return {"fake": self.called["generator"](batch["condition"], *masks)}
        with torch.no_grad():
            return {"fake": self.networks["generator"](batch["condition"], *masks)}

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """The loss of "discriminator" or "generator" on pairs in [-1, 1]."""
        name, fake = self._loss.adversarial, draws["fake"].to(batch["image"].dtype)
        if player == "discriminator":
            real_scores = self._judge(self.called, batch, batch["image"])
            fake_scores = self._judge(self.called, batch, fake.detach())
            on_real, on_fake = critic_terms(name, real_scores, fake_scores)
            terms = {"d_real": on_real, "d_fake": on_fake}
            return Losses(total=0.5 * (on_real + on_fake), terms=terms)
        adversarial = generator_term(name, self._judge(self.networks, batch, fake))
        distance = F.l1_loss(fake, batch["image"])
        total = adversarial + self._loss.lambda_l1 * distance
        return Losses(total=total, terms={"g_fake": adversarial, "g_l1": distance})

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """Rows: pairs; columns: the input, what the generator makes of it, and the truth."""
        made = networks["generator"](batch["condition"])
        images = torch.stack([batch["condition"], made, batch["image"]], dim=1)
        return Samples(images=images, headings=("input", "output", "truth"))

    def evaluate(self, networks: Mapping[str, nn.Module], held_out: Tensors) -> dict[str, float]:
        """Mean distance to the true outputs, in 8-bit levels; blur keeps it small."""
        made = [networks["generator"](row) for row in torch.split(held_out["condition"], 1)]
        return {"l1_levels": levels_between(torch.cat(made), held_out["image"])}

    def network_table(self) -> dict[str, Any]:
        """The networks' shape, for the card."""
        return to_mapping(self._network)

    def state_dict(self) -> Tensors:
        """Nothing: pix2pix remembers nothing beside its networks."""
        return {}

    def load_state_dict(self, state: Tensors) -> None:
        """Takes back nothing."""

    def _judge(
        self, networks: Mapping[str, nn.Module], batch: Tensors, image_BCHW: Tensor
    ) -> Tensor:
        """Scores in at least FP32, in which the losses are computed."""
        return at_least_fp32(networks["discriminator"](batch["condition"], image_BCHW))


def create_objective(
    recipe: Recipe,
    labels: LabelSpace,  # noqa: ARG001 - pairs need none
    *,
    num_steps: int,
) -> Pix2PixObjective:
    """Builds networks, players and phases from a resolved recipe."""
    return Pix2PixObjective(
        network=Pix2PixNetwork(image_size=recipe.data.image_size, **to_mapping(recipe.model)),
        loss=recipe.loss,
        players=(discriminator_player(recipe.train), generator_player(recipe.train)),
        phases=single_phase(recipe, num_steps),
    )
