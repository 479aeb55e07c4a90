"""StarGAN's objective (Choi et al., CVPR 2018, equations 1 to 6).

    L_D = L_adv + lambda_cls L_cls(real)                      + lambda_gp L_gp
    L_G = L_adv + lambda_cls L_cls(fake) + lambda_rec |x - G(G(x, c'), c)|_1

L_cls is binary cross-entropy *summed over the attributes* and averaged over the batch for
multi-label data, and cross-entropy for one-hot domains. The targets c' are the batch's own labels,
permuted. In joint training (section 3.2) labels end with the mask of the known set, and L_cls
covers that set's labels only. The generator is updated after every `critic_steps` steps of the
discriminator, on the same batch and draws as the last of them (yunjey/stargan, solver.py).

Shape legend: B batch, C channels, H height, W width, D label width, K labels, R rows of samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    gradient_penalty,
)
from stargan_deploy.families.objectives.base import (
    LabelTranslation,
    Losses,
    Networks,
    Objective,
    ObjectiveRequest,
    Samples,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.classification import classification_loss
from stargan_deploy.families.objectives.players import alternating, single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.stargan.networks import (
    Discriminator,
    Generator,
    StarGANNetwork,
    build_networks,
)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of StarGAN's losses."""

    adversarial: AdversarialName = "wgan-gp"
    """The adversarial term."""
    lambda_gp: float | None = None
    """Weight of the gradient penalty; absent means 10 for wgan-gp and 0 for the others."""
    lambda_cls: float = 1.0
    """Weight of the classification loss."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction (cycle) loss."""

    def __post_init__(self) -> None:
        refuse_below(0, vars(self))

    @property
    def penalty_weight(self) -> float:
        """The resolved weight of the gradient penalty."""
        if self.lambda_gp is not None:
            return self.lambda_gp
        return 10.0 if self.adversarial == "wgan-gp" else 0.0


class StarGANObjective(Objective, LabelTranslation):
    """Generator against discriminator-with-classifier."""

    def __init__(self, request: ObjectiveRequest) -> None:
        network = StarGANNetwork(
            label_width=request.labels.label_width,
            num_labels=request.labels.num_labels,
            image_size=request.image_size,
            **to_mapping(request.model),
        )
        players, updates = alternating(request.optimizers)
        super().__init__(
            build_networks(to_mapping(network)),
            network_table=to_mapping(network),
            players=players,
            updates=updates,
            phases=single_phase(request),
            labels=request.labels,
        )
        self._loss: LossConfig = request.loss

    @property
    def generator(self) -> Generator:
        """The generator."""
        network = self.networks["generator"]
        assert isinstance(network, Generator)
        return network

    @property
    def discriminator(self) -> Discriminator:
        """The discriminator with its classifier."""
        network = self.networks["discriminator"]
        assert isinstance(network, Discriminator)
        return network

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw target labels `label_target` (B, D) and the penalty's `alpha` (B, 1, 1, 1)."""
        num_images = len(batch["label"])
        order = torch.randperm(num_images, generator=random)
        alpha_B111 = torch.rand(num_images, 1, 1, 1, generator=random)
        return {"label_target": batch["label"].cpu()[order], "alpha": alpha_B111}

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Make the batch's fakes once for both updates, `fake` (B, 3, H, W) in [-1, 1].

        The generator stays the same between the discriminator's update and its own.
        """
        networks = training.called if "generator" in due else self.networks
        with torch.set_grad_enabled("generator" in due):
            return {"fake": networks["generator"](batch["image"], draws["label_target"])}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss of "discriminator" or "generator" on images (B, 3, H, W) in [-1, 1]."""
        if update == "discriminator":
            return self._discriminator_losses(batch, draws, training)
        return self._generator_losses(batch, draws, training)

    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """Rows: images; columns: the source and each single-label target."""
        generator = networks["generator"]
        targets = self.labels.single_targets()
        columns = [batch["image"]]
        for target in targets:
            rows = batch["label"][:, : self.labels.num_labels].cpu().numpy()
            vectors = [self.labels.target_vector(target, row) for row in rows]
            label_BD = torch.stack([torch.from_numpy(vector) for vector in vectors])
            columns.append(generator(batch["image"], label_BD.to(batch["image"])))
        headings = ("source", *(target.text for target in targets))
        return Samples(images=torch.stack(columns, dim=1), headings=headings)

    def translate(self, networks: Networks, image_BCHW: Tensor, label_BD: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] translated to labels (B, D)."""
        translated: Tensor = networks["generator"](image_BCHW, label_BD)
        return translated

    def classify(self, networks: Networks, image_BCHW: Tensor) -> Tensor:
        """Label logits (B, K) of images in [-1, 1], by the discriminator's classifier."""
        logits: Tensor = networks["discriminator"](image_BCHW)[1]
        return logits

    def _discriminator_losses(self, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        real_BCHW = batch["image"]
        fake_BCHW = draws["fake"].detach().to(real_BCHW.dtype)
        scores, logits = self._scores(torch.cat([real_BCHW, fake_BCHW]), training.called)
        real_scores, fake_scores = scores.chunk(2)
        adversarial = critic_terms(self._loss.adversarial, real_scores, fake_scores)
        classification = classification_loss(self.labels, logits[: len(real_BCHW)], batch["label"])
        total = sum(adversarial) + self._loss.lambda_cls * classification
        terms = {"d_real": adversarial[0], "d_fake": adversarial[1], "d_cls": classification}
        if self._loss.penalty_weight:
            alpha = draws["alpha"]
            penalty = gradient_penalty(self.discriminator, real_BCHW, fake_BCHW, alpha)
            total = total + self._loss.penalty_weight * penalty
            terms["d_gp"] = penalty
        return Losses(total=total, terms=terms)

    def _generator_losses(self, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        real_BCHW = batch["image"]
        fake_BCHW = draws["fake"]
        scores, logits = self._scores(fake_BCHW, self.networks)
        adversarial = generator_term(self._loss.adversarial, scores)
        classification = classification_loss(self.labels, logits, draws["label_target"])
        total = adversarial + self._loss.lambda_cls * classification
        terms = {"g_fake": adversarial, "g_cls": classification}
        if self._loss.lambda_rec:
            rebuilt_BCHW = training.called["generator"](fake_BCHW, batch["label"])
            terms["g_rec"] = F.l1_loss(rebuilt_BCHW.to(real_BCHW.dtype), real_BCHW)
            total = total + self._loss.lambda_rec * terms["g_rec"]
        return Losses(total=total, terms=terms)

    def _scores(self, image_BCHW: Tensor, networks: Networks) -> tuple[Tensor, Tensor]:
        """Scores and logits in at least FP32, in which the losses are computed."""
        scores, logits = networks["discriminator"](image_BCHW)
        return at_least_fp32(scores), at_least_fp32(logits)
