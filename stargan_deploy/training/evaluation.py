"""Scores of a run's networks: translated held-out images, classified by the run itself.

    eval/accuracy/<label>       share of images that carry the label after a translation to it,
                                according to the run's own classifier; only images that lack the
                                label count, so that a generator that does nothing scores about 0
    eval/accuracy_mean          mean of these over the labels
    eval/accuracy_real          accuracy of the classifier on the original images; where it is low,
                                the other accuracies mean little
    eval/reconstruction_levels  mean |x - G(G(x, c'), c)| in 8-bit levels
    eval/change_levels          mean |x - G(x, c')| in 8-bit levels; 0: nothing is translated
    eval/diversity              how far apart the translations of different images are, relative
                                to the images themselves, mean over the labels; near 0: every
                                image becomes the same one (mode collapse)
    eval/diversity_min          the least diversity of any label

A number that the images cannot determine is left out: the accuracy of a label that all of them
carry. Nothing is random.

Shape legend: N images, C channels, H height, W width, D label width, K labels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.card.pixels import HALF_RANGE
from stargan_deploy.data.batches.loading import Batch, to_model_range
from stargan_deploy.families.blocks.image_to_image import levels_between
from stargan_deploy.families.objectives.base import LabelTranslation, Networks
from stargan_deploy.training.metrics import EVALUATION_PREFIX


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What an examiner found out about a checkpoint."""

    figures: Mapping[str, float]
    """By name, for the run's metrics."""
    score: float | None
    """The number that decides which checkpoint is best; greater is better. None where nothing can
    be said."""


class Examiner(ABC):
    """Judges the images of a training from outside, by the checkpoint that it would leave."""

    @abstractmethod
    def examine(self, checkpoint: Path) -> Examination:
        """Judge a checkpoint.

        Raises:
            StarganDeployError: it cannot be judged, which ends the training.
        """


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """Results of the translations to one label; levels are means in 8-bit levels."""

    accuracy: float
    change_levels: float
    diversity: float | None


@torch.no_grad()
def evaluate(
    objective: LabelTranslation,
    networks: Networks,
    held_out: Batch,
    labels: LabelSpace,
    *,
    device: torch.device,
    batch_size: int = 16,
) -> dict[str, float]:
    """Translate every image to every label that it lacks, and evaluate the results.

    Needs at most K + 2 translations and K + 1 classifications per image.

    Args:
        objective: translates and classifies.
        networks: networks by role, averaged where there are averages; not changed.
        held_out: image (N, 3, H, W) uint8 in [0, 255], and label (N, D) as the generator takes
            it: in a joint space with the mask of the known set.
        labels: the meaning of the labels.
        device: device of the networks.
        batch_size: images per call.

    Returns:
        The numbers by the names above.
    """
    evaluator = _Evaluator(
        objective=objective,
        networks=networks,
        labels=labels,
        batch_size=batch_size,
        image_NCHW=to_model_range(held_out["image"].to(device)),
        label_ND=held_out["label"].cpu().numpy(),
    )
    outcomes: dict[str, _Outcome] = {}
    for target in labels.single_targets():
        outcome = evaluator.outcome(target)
        if outcome:
            outcomes[_name(target)] = outcome
    values = {f"accuracy/{name}": outcome.accuracy for name, outcome in outcomes.items()}
    values |= _summary(list(outcomes.values()))
    values["accuracy_real"] = evaluator.accuracy_on_real()
    values["reconstruction_levels"] = evaluator.reconstruction_levels()
    return {f"{EVALUATION_PREFIX}{name}": value for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class _Evaluator:
    """Translates and classifies held-out images."""

    objective: LabelTranslation
    networks: Networks
    labels: LabelSpace
    batch_size: int
    image_NCHW: Tensor
    label_ND: FloatArray

    def outcome(self, target: Target) -> _Outcome | None:
        """Translate the images that lack a label to it; None if no image lacks it."""
        column = self.labels.names.index(_name(target))
        wanted_ND = self._wanted(target)
        is_known = self.labels.known_rows(self.label_ND, target.set_index)
        (rows,) = np.nonzero(~is_known | (wanted_ND[:, column] != self.label_ND[:, column]))
        if not len(rows):
            return None
        source_NCHW = self.image_NCHW[torch.from_numpy(rows).to(self.image_NCHW.device)]
        translated_NCHW = self._translate(source_NCHW, wanted_ND[rows])
        seen_NK = self._predicted(translated_NCHW)
        return _Outcome(
            accuracy=float((seen_NK[:, column] == wanted_ND[rows, column]).mean()),
            change_levels=levels_between(source_NCHW, translated_NCHW),
            diversity=_relative_spread(source_NCHW, translated_NCHW),
        )

    def accuracy_on_real(self) -> float:
        """Share of the known labels that the classifier finds; for domains, share of the images."""
        seen_NK = self._predicted(self.image_NCHW)
        shares = []
        for set_index, label_set in enumerate(self.labels.sets):
            is_known = self.labels.known_rows(self.label_ND, set_index)
            columns = self.labels.slice_of(set_index)
            right = (seen_NK == self.label_ND[:, : self.labels.num_labels])[is_known, columns]
            if len(right):
                shares.append(right.all(axis=1) if label_set.kind == "onehot" else right.ravel())
        return float(np.mean([share.mean() for share in shares]))

    def reconstruction_levels(self) -> float:
        """Translate each image to one label, in rotation, and back to its own."""
        targets = self.labels.single_targets()
        wanted_ND = self.label_ND.copy()
        for index, target in enumerate(targets):
            wanted_ND[index :: len(targets)] = self._wanted(target)[index :: len(targets)]
        rebuilt = self._translate(self._translate(self.image_NCHW, wanted_ND), self.label_ND)
        return levels_between(self.image_NCHW, rebuilt)

    def _wanted(self, target: Target) -> FloatArray:
        own_NK = self.label_ND[:, : self.labels.num_labels]
        return np.stack([self.labels.target_vector(target, row) for row in own_NK])

    def _translate(self, image_NCHW: Tensor, label_ND: FloatArray) -> Tensor:
        label = torch.from_numpy(label_ND).to(image_NCHW)
        return self._in_batches(
            lambda *batch: self.objective.translate(self.networks, *batch), image_NCHW, label
        )

    def _predicted(self, image_NCHW: Tensor) -> FloatArray:
        logits_NK = self._in_batches(
            lambda batch: self.objective.classify(self.networks, batch), image_NCHW
        )
        return self.labels.predicted(logits_NK.float().cpu().numpy())

    def _in_batches(self, compute: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        batches = zip(*(torch.split(tensor, self.batch_size) for tensor in tensors), strict=True)
        return torch.cat([compute(*batch) for batch in batches])


def score(values: Mapping[str, float]) -> float | None:
    """The number that decides which checkpoint is best; greater is better.

    It is the mean accuracy minus the reconstruction error as a share of half the pixel range: the
    classifier alone does not notice blur, and the reconstruction alone favours a generator that
    does nothing. None if the held-out images cannot determine it.
    """
    accuracy = values.get("eval/accuracy_mean")
    reconstruction = values.get("eval/reconstruction_levels")
    if accuracy is None or reconstruction is None:
        return None
    return accuracy - reconstruction / HALF_RANGE


def _summary(outcomes: list[_Outcome]) -> dict[str, float]:
    """Means over the labels with a result."""
    diversities = [outcome.diversity for outcome in outcomes if outcome.diversity is not None]
    values = {}
    if outcomes:
        values["accuracy_mean"] = float(np.mean([outcome.accuracy for outcome in outcomes]))
        values["change_levels"] = float(np.mean([outcome.change_levels for outcome in outcomes]))
    if diversities:
        values["diversity"] = float(np.mean(diversities))
        values["diversity_min"] = min(diversities)
    return values


def _name(target: Target) -> str:
    (name,) = target.changes
    return name


def _relative_spread(source_NCHW: Tensor, translated_NCHW: Tensor) -> float | None:
    """Mean distance of consecutive images after translation, relative to that before."""
    before = levels_between(source_NCHW, source_NCHW.roll(1, 0))
    after = levels_between(translated_NCHW, translated_NCHW.roll(1, 0))
    return after / before if before > 0 else None
