"""Losses of classifiers over a label space.

Binary cross-entropy *summed over the attributes* for multi-label sets (StarGAN, yunjey/stargan at
94dd002, solver.py), cross-entropy for one-hot domains; with several sets each image counts for its
own only.

Shape legend: B batch, D label width, K labels, S label sets.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from stargan_deploy.card.labels import LabelSet, LabelSpace


def classification_loss(
    labels: LabelSpace,
    logits_BK: Tensor,
    label_BD: Tensor,
    *,
    weight_K: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """The mean over the batch of the losses on the sets that are known of each image.

    Args:
        labels: what the columns of logits and labels stand for.
        logits_BK: the classifier's output, in at least FP32.
        label_BD: zeros and ones, in a joint space followed by the mask of the known set.
        weight_K: of a set of attributes how much each counts where it is present, of domains how
            much each counts; None weighs all by 1.
        smoothing: share of a label that is spread evenly over all outcomes, in [0, 1).
    """
    numbers = range(len(labels.sets))
    losses_BS = torch.stack(
        [
            _set_loss(
                labels.sets[n],
                *(x[:, labels.slice_of(n)] for x in (logits_BK, label_BD)),
                weight=None if weight_K is None else weight_K[labels.slice_of(n)],
                smoothing=smoothing,
            )
            for n in numbers
        ],
        dim=1,
    )
    if labels.is_joint:
        losses_BS = losses_BS * label_BD[:, labels.num_labels :]
    return losses_BS.sum(dim=1).mean()


def _set_loss(
    label_set: LabelSet,
    logits: Tensor,
    label: Tensor,
    *,
    weight: Tensor | None,
    smoothing: float,
) -> Tensor:
    """The loss (B,) on one set: cross-entropies summed over attributes, or one over domains."""
    if label_set.kind == "onehot":
        return F.cross_entropy(
            logits, label.argmax(dim=1), weight, reduction="none", label_smoothing=smoothing
        )
    if smoothing:
        label = label * (1 - smoothing) + smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits, label, reduction="none", pos_weight=weight)
    return losses.sum(dim=1)
