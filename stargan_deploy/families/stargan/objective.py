"""StarGAN's objective (Choi et al., CVPR 2018, equations 1 to 6).

    L_D = L_adv + lambda_cls L_cls(real)                      + lambda_gp L_gp
    L_G = L_adv + lambda_cls L_cls(fake) + lambda_rec |x - G(G(x, c'), c)|_1

L_cls is binary cross-entropy *summed over the attributes* and averaged over the batch for
multi-label data, and cross-entropy for one-hot domains. The targets c' are the batch's own labels,
permuted. In joint training (section 3.2) labels end with the mask of the set that is known, and
L_cls looks at that set's labels alone. The generator moves after every `critic_steps` steps of the
discriminator, on the same batch and draws as the last of them (yunjey/stargan, solver.py).

Shape legend: B batch, C channels, H height, W width, D label width, K labels, R rows of samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import refuse_below, to_mapping
from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import DataError
from stargan_deploy.families.objectives.adversarial import (
    AdversarialName,
    critic_terms,
    generator_term,
    gradient_penalty,
)
from stargan_deploy.families.objectives.base import Losses, Phase, Player, Samples, Tensors
from stargan_deploy.families.objectives.precision import at_least_fp32
from stargan_deploy.families.stargan.networks import (
    Discriminator,
    Generator,
    StarGANNetwork,
    build_networks,
)
from stargan_deploy.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Widths and depths of StarGAN's networks."""

    generator_conv_dim: int = 64
    """Channels of the generator's first layer."""
    generator_blocks: int = 6
    """Residual blocks in the generator's middle."""
    discriminator_conv_dim: int = 64
    """Channels of the discriminator's first layer."""
    discriminator_layers: int = 6
    """Stride-2 layers of the discriminator; the image size is a multiple of 2 to this power."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))


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
        for name in ("lambda_gp", "lambda_cls", "lambda_rec"):
            if (getattr(self, name) or 0.0) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")

    @property
    def penalty_weight(self) -> float:
        """The weight of the gradient penalty that holds."""
        if self.lambda_gp is not None:
            return self.lambda_gp
        return 10.0 if self.adversarial == "wgan-gp" else 0.0


class StarGANObjective:
    """Generator against discriminator-with-classifier; satisfies `Objective`.

    Args:
        network: shape of the networks.
        loss: weights of the losses.
        labels: what the label vector means.
        players: discriminator and generator, in the order of their moves.
        phases: the stretches of the training.
    """

    averaged = ("generator",)
    grows = False
    takes = ("image",)

    def __init__(
        self,
        *,
        network: StarGANNetwork,
        loss: LossConfig,
        labels: LabelSpace,
        players: tuple[Player, ...],
        phases: tuple[Phase, ...],
    ) -> None:
        self._network = network
        self._loss = loss
        self.labels = labels
        self._phases = phases
        self.players = players
        self.networks = build_networks(self.network_table())
        self.called: dict[str, nn.Module] = dict(self.networks)
        self.frozen: dict[str, nn.Module] = {}
        self.ranks = Ranks()

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

    def phases(self) -> tuple[Phase, ...]:
        """One phase: StarGAN does not grow."""
        return self._phases

    def begin_step(self, step: int) -> None:
        """Nothing changes with the step."""

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws target labels `label_target` (B, D) and the penalty's `alpha` (B, 1, 1, 1)."""
        num_images = len(batch["label"])
        order = torch.randperm(num_images, generator=random)
        alpha_B111 = torch.rand(num_images, 1, 1, 1, generator=random)
        return {"label_target": batch["label"].cpu()[order], "alpha": alpha_B111}

    def share(self, batch: Tensors, draws: Tensors, moving: tuple[str, ...]) -> Tensors:
        """Makes the batch's fakes once for both players, `fake` (B, 3, H, W) in [-1, 1].

        The generator stays the same between the discriminator's move and its own.
        """
        if "generator" in moving:
            return {"fake": self.called["generator"](batch["image"], draws["label_target"])}
        with torch.no_grad():
            return {"fake": self.generator(batch["image"], draws["label_target"])}

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """The loss of "discriminator" or "generator" on images (B, 3, H, W) in [-1, 1]."""
        if player == "discriminator":
            return self._discriminator_losses(batch, draws)
        return self._generator_losses(batch, draws)

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
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

    def translate(
        self, networks: Mapping[str, nn.Module], image_BCHW: Tensor, label_BD: Tensor
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] translated to labels (B, D)."""
        translated: Tensor = networks["generator"](image_BCHW, label_BD)
        return translated

    def classify(self, networks: Mapping[str, nn.Module], image_BCHW: Tensor) -> Tensor:
        """Label logits (B, K) of images in [-1, 1], by the discriminator's classifier."""
        logits: Tensor = networks["discriminator"](image_BCHW)[1]
        return logits

    def network_table(self) -> dict[str, Any]:
        """The networks' shape, for the card."""
        return to_mapping(self._network)

    def state_dict(self) -> Tensors:
        """Nothing: StarGAN remembers nothing beside its networks."""
        return {}

    def load_state_dict(self, state: Tensors) -> None:
        """Takes back nothing."""

    def _discriminator_losses(self, batch: Tensors, draws: Tensors) -> Losses:
        real_BCHW = batch["image"]
        fake_BCHW = draws["fake"].detach().to(real_BCHW.dtype)
        scores, logits = self._judge(torch.cat([real_BCHW, fake_BCHW]), self.called)
        real_scores, fake_scores = scores.chunk(2)
        adversarial = critic_terms(self._loss.adversarial, real_scores, fake_scores)
        classification = self.classification(logits[: len(real_BCHW)], batch["label"])
        total = sum(adversarial) + self._loss.lambda_cls * classification
        terms = {"d_real": adversarial[0], "d_fake": adversarial[1], "d_cls": classification}
        if self._loss.penalty_weight:
            alpha = draws["alpha"]
            penalty = gradient_penalty(self.discriminator, real_BCHW, fake_BCHW, alpha)
            total = total + self._loss.penalty_weight * penalty
            terms["d_gp"] = penalty
        return Losses(total=total, terms=terms)

    def _generator_losses(self, batch: Tensors, draws: Tensors) -> Losses:
        real_BCHW = batch["image"]
        fake_BCHW = draws["fake"]
        scores, logits = self._judge(fake_BCHW, self.networks)
        adversarial = generator_term(self._loss.adversarial, scores)
        classification = self.classification(logits, draws["label_target"])
        rebuilt_BCHW = self.called["generator"](fake_BCHW, batch["label"])
        reconstruction = F.l1_loss(rebuilt_BCHW.to(real_BCHW.dtype), real_BCHW)
        total = (
            adversarial
            + self._loss.lambda_cls * classification
            + self._loss.lambda_rec * reconstruction
        )
        terms = {"g_fake": adversarial, "g_cls": classification, "g_rec": reconstruction}
        return Losses(total=total, terms=terms)

    def _judge(
        self, image_BCHW: Tensor, networks: Mapping[str, nn.Module]
    ) -> tuple[Tensor, Tensor]:
        """Scores and logits in at least FP32, in which the losses are computed."""
        scores, logits = networks["discriminator"](image_BCHW)
        return at_least_fp32(scores), at_least_fp32(logits)

    def classification(self, logits_BK: Tensor, label_BD: Tensor) -> Tensor:
        """The classification loss, in joint training of each image on its own set's labels."""
        numbers = range(len(self.labels.sets))
        losses_BS = torch.stack([self._set_loss(n, logits_BK, label_BD) for n in numbers], dim=1)
        if self.labels.is_joint:
            losses_BS = losses_BS * label_BD[:, self.labels.num_labels :]
        return losses_BS.sum(dim=1).mean()

    def _set_loss(self, set_index: int, logits_BK: Tensor, label_BD: Tensor) -> Tensor:
        """The loss (B,) on one set: summed over attributes, or over domains by cross-entropy."""
        columns = self.labels.slice_of(set_index)
        logits, label = logits_BK[:, columns], label_BD[:, columns]
        if self.labels.sets[set_index].kind == "onehot":
            return F.cross_entropy(logits, label.argmax(dim=1), reduction="none")
        return F.binary_cross_entropy_with_logits(logits, label, reduction="none").sum(dim=1)


def create_objective(recipe: Recipe, labels: LabelSpace, *, num_steps: int) -> StarGANObjective:
    """Builds networks, players and phases from a resolved recipe.

    Raises:
        DataError: the data has no labels.
    """
    if not labels.sets:
        raise DataError(
            f"StarGAN learns to change labels, and images of kind {recipe.data.kind!r} have none"
        )
    train = recipe.train
    network = StarGANNetwork(
        label_width=labels.label_width,
        num_labels=labels.num_labels,
        image_size=recipe.data.image_size,
        **to_mapping(recipe.model),
    )
    betas = (train.beta1, train.beta2)
    discriminator = Player(
        name="discriminator",
        networks=("discriminator",),
        learning_rate=train.discriminator_lr,
        betas=betas,
    )
    generator = Player(
        name="generator",
        networks=("generator",),
        learning_rate=train.generator_lr,
        betas=betas,
        every=train.critic_steps,
    )
    phase = Phase(
        num_steps=num_steps, image_size=recipe.data.image_size, batch_size=train.batch_size
    )
    return StarGANObjective(
        network=network,
        loss=recipe.loss,
        labels=labels,
        players=(discriminator, generator),
        phases=(phase,),
    )
