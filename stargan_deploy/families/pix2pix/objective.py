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

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    refuse_without_penalty,
)
from stargan_deploy.families.objectives.base import (
    Losses,
    Networks,
    Objective,
    ObjectiveRequest,
    Samples,
    SelfEvaluating,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.players import alternating, single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.pix2pix.networks import (
    KEPT_SHARE,
    Pix2PixNetwork,
    UNet,
    build_networks,
)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Terms and weights of the losses."""

    adversarial: AdversarialName = "nonsaturating"
    """The adversarial terms: "nonsaturating" as in the paper, or "minimax", "lsgan" or "hinge" of
    `families.objectives.adversarial`. "wgan-gp" is refused: these losses have no gradient
    penalty."""
    lambda_l1: float = 100.0
    """Weight of the distance to the true output."""

    def __post_init__(self) -> None:
        refuse_without_penalty(self.adversarial)
        refuse_below(0, vars(self))


class Pix2PixObjective(Objective, SelfEvaluating):
    """U-Net against a discriminator of pairs."""

    takes = ("condition", "image")

    def __init__(self, request: ObjectiveRequest) -> None:
        network = Pix2PixNetwork(image_size=request.image_size, **to_mapping(request.model))
        players, updates = alternating(request.optimizers)
        super().__init__(
            build_networks(to_mapping(network)),
            network_table=to_mapping(network),
            players=players,
            updates=updates,
            phases=single_phase(request),
        )
        self._loss: LossConfig = request.loss
        generator = self.networks["generator"]
        assert isinstance(generator, UNet)
        self._mask_shapes = generator.mask_shapes(network.image_size, network.image_size)

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw the dropout masks (B, C, h, w) of zeros and ones."""
        rows = len(batch["label"])
        return {
            name: (torch.rand(rows, *shape, generator=random) < KEPT_SHARE).float()
            for name, shape in self._mask_shapes.items()
        }

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Make the batch's fakes once for both updates, `fake` (B, 3, H, W) in [-1, 1]."""
        networks = training.called if "generator" in due else self.networks
        masks = [draws[name] for name in self._mask_shapes]
        with torch.set_grad_enabled("generator" in due):
            return {"fake": networks["generator"](batch["condition"], *masks)}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of "discriminator" or "generator" on pairs in [-1, 1]."""
        name, fake = self._loss.adversarial, draws["fake"].to(batch["image"].dtype)
        if update == "discriminator":
            real_scores = self._scores(training.called, batch, batch["image"])
            fake_scores = self._scores(training.called, batch, fake.detach())
            on_real, on_fake = critic_terms(name, real_scores, fake_scores)
            terms = {"d_real": on_real, "d_fake": on_fake}
            return Losses(total=0.5 * (on_real + on_fake), terms=terms)
        adversarial = generator_term(name, self._scores(self.networks, batch, fake))
        distance = F.l1_loss(fake, batch["image"])
        total = adversarial + self._loss.lambda_l1 * distance
        return Losses(total=total, terms={"g_fake": adversarial, "g_l1": distance})

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """Rows: pairs; columns: the input, the generator's output, and the true output."""
        made = networks["generator"](batch["condition"])
        images = torch.stack([batch["condition"], made, batch["image"]], dim=1)
        return Samples(images=images, headings=("input", "output", "truth"))

    def evaluate(self, networks: Networks, held_out: Tensors) -> dict[str, float]:
        """Mean distance to the true outputs, in 8-bit levels; blurred outputs score well."""
        made = [networks["generator"](row) for row in torch.split(held_out["condition"], 1)]
        return {"l1_levels": levels_between(torch.cat(made), held_out["image"])}

    def _scores(self, networks: Networks, batch: Tensors, image_BCHW: Tensor) -> Tensor:
        """Scores in at least FP32, in which the losses are computed."""
        return at_least_fp32(networks["discriminator"](batch["condition"], image_BCHW))
