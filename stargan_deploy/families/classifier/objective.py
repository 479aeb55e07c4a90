"""The classifier's objective: cross-entropy on the labels of real images.

Images are mirrored and shifted by the data (`data.flip`, `data.jitter`); here their brightness and
contrast are drawn. One player; its rate is the recipe's `train.discriminator_lr`.

Shape legend: B batch, C channels, H height, W width, D label width, F features, K labels, h and w
positions, N images.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stargan_deploy.config import to_mapping
from stargan_deploy.families.classifier.accuracy import Tally
from stargan_deploy.families.classifier.networks import (
    Classifier,
    ClassifierNetwork,
    build_networks,
)
from stargan_deploy.families.objectives.base import (
    Losses,
    Objective,
    ObjectiveRequest,
    Player,
    Samples,
    SelfEvaluating,
    Tensors,
    Training,
)
from stargan_deploy.families.objectives.classification import classification_loss
from stargan_deploy.families.objectives.players import own_update, single_phase
from stargan_deploy.families.objectives.precision import at_least_fp32

CLASSIFIER = "classifier"

EVALUATED_AT_ONCE = 64
"""Held-out images per call."""

LEAST_SHARE = 1e-3
"""Share of the images that a label counts as having at least, and lacking, when it is balanced."""

DIMMED = 0.25
"""Brightness of what does not speak for a label, in the sample grid."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss of the classifier and its augmentation."""

    balance: float = 0.0
    """How far rare labels are made up for, from 0 (not) to 1 (as if half of the images had each
    attribute, or all domains were as frequent). Raises the balanced accuracy at the expense of the
    plain one."""
    label_smoothing: float = 0.0
    """Share of a label that is spread evenly over all outcomes."""
    weight_decay: float = 0.0
    """L2 penalty on the weights."""
    colour_jitter: float = 0.0
    """Greatest change of brightness, as a share of half the range, and of contrast, as a factor."""

    def __post_init__(self) -> None:
        for name in ("balance", "label_smoothing", "colour_jitter"):
            if not 0 <= getattr(self, name) <= 1 or (
                name != "balance" and getattr(self, name) == 1
            ):
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay cannot be negative: {self.weight_decay}")


class ClassifierObjective(Objective, SelfEvaluating):
    """Learns the labels of images."""

    averaged = (CLASSIFIER,)

    def __init__(self, request: ObjectiveRequest) -> None:
        network = ClassifierNetwork(
            num_labels=request.labels.num_labels,
            image_size=request.image_size,
            **to_mapping(request.model),
        )
        self._loss: LossConfig = request.loss
        player = Player(
            name=CLASSIFIER,
            networks=(CLASSIFIER,),
            learning_rate=request.optimizers.discriminator_lr,
            betas=(request.optimizers.beta1, request.optimizers.beta2),
            weight_decay=self._loss.weight_decay,
        )
        super().__init__(
            build_networks(to_mapping(network)),
            network_table=to_mapping(network),
            players=(player,),
            updates=(own_update(player),),
            phases=single_phase(request),
            labels=request.labels,
        )
        self._weight_K = self._weights(request.label_shares) if self._loss.balance else None

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw `brightness` and `contrast` (B, 1, 1, 1) in [-1, 1]."""
        draws = 2 * torch.rand(2, len(batch["label"]), 1, 1, 1, generator=random) - 1
        return {"brightness": draws[0], "contrast": draws[1]}

    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Nothing: there is one update."""
        return {}

    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The cross-entropy on images (B, 3, H, W) in [-1, 1]."""
        image_BCHW = self._jittered(batch["image"], draws)
        logits_BK, _ = training.called[CLASSIFIER](image_BCHW)
        loss = classification_loss(
            self.labels,
            at_least_fp32(logits_BK),
            batch["label"],
            weight_K=None if self._weight_K is None else self._weight_K.to(image_BCHW.device),
            smoothing=self._loss.label_smoothing,
        )
        return Losses(total=loss, terms={"c_cls": loss})

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """Rows: images; columns: the source, and what speaks for each label in it.

        Class activation maps (Zhou et al., CVPR 2016), relative to the greatest of each.
        """
        network = networks[CLASSIFIER]
        assert isinstance(network, Classifier)
        image_BCHW = batch["image"]
        maps_BFhw = network.feature_maps(image_BCHW)
        maps_BKhw = torch.einsum("kf,bfhw->bkhw", network.fc.weight, maps_BFhw).clamp(min=0)
        maps_BKhw = maps_BKhw / maps_BKhw.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        maps_BKHW = F.interpolate(maps_BKhw, size=image_BCHW.shape[2:], mode="bilinear")
        light_BKHW = DIMMED + (1 - DIMMED) * maps_BKHW
        seen = (image_BCHW[:, None] + 1) * light_BKHW[:, :, None] - 1
        columns = torch.cat([image_BCHW[:, None], seen], dim=1)
        return Samples(images=columns, headings=("source", *self.labels.names))

    def evaluate(self, networks: Mapping[str, nn.Module], held_out: Tensors) -> dict[str, float]:
        """Accuracy on held-out images, by label and in the mean."""
        figures = self.held_out_figures(networks, [held_out])
        return {
            f"label_{name}": value for name, value in figures.items() if name.startswith("accuracy")
        }

    def held_out_figures(
        self, networks: Mapping[str, nn.Module], batches: Iterable[Tensors]
    ) -> dict[str, float]:
        """Accuracy and balanced accuracy on held-out images, by label and in the mean."""
        tally = Tally(self.labels)
        for batch in batches:
            pairs = zip(
                torch.split(batch["image"], EVALUATED_AT_ONCE),
                torch.split(batch["label"], EVALUATED_AT_ONCE),
                strict=True,
            )
            for image_BCHW, label_BD in pairs:
                logits_BK, _ = networks[CLASSIFIER](image_BCHW)
                tally.add(logits_BK.float().cpu().numpy(), label_BD.cpu().numpy())
        return tally.figures()

    def _jittered(self, image_BCHW: Tensor, draws: Tensors) -> Tensor:
        """Images with other brightness and contrast, in [-1, 1]."""
        most = self._loss.colour_jitter
        if not most:
            return image_BCHW
        brightness, contrast = (draws[name].to(image_BCHW) for name in ("brightness", "contrast"))
        return (image_BCHW * (1 + most * contrast) + most * brightness).clamp(-1, 1)

    def _weights(self, label_shares: tuple[float, ...]) -> Tensor:
        """Weights (K,) of attributes where they are present, or of domains."""
        weights = []
        for set_index, label_set in enumerate(self.labels.sets):
            columns = self.labels.slice_of(set_index)
            share = torch.tensor(label_shares[columns]).clamp(LEAST_SHARE, 1 - LEAST_SHARE)
            if label_set.kind == "onehot":
                weight = share**-self._loss.balance
                weights.append(weight / (weight * share).sum())
            else:
                weights.append(((1 - share) / share) ** self._loss.balance)
        return torch.cat(weights)
