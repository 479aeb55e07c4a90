"""How often a classifier is right, label by label.

    accuracy/<label>           share of the images whose attribute is predicted rightly, present or
                               not; for domains, share of the domain's images that are recognised
    accuracy                   mean over the attributes; for domains, share of all images
    balanced_accuracy/<label>  mean of the shares among the images with the attribute and without
                               it, 0.5 for a classifier that always says the same; for domains as
                               accuracy
    balanced_accuracy          mean over the labels

A label that all images have, or none, has no balanced accuracy.

Shape legend: N images, D label width, K labels.
"""

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.labels import FloatArray, LabelSpace

Counts = npt.NDArray[np.int64]


class Tally:
    """Counts right and wrong predictions over any number of batches.

    Args:
        labels: the labels that are predicted.
    """

    def __init__(self, labels: LabelSpace) -> None:
        self._labels = labels
        self._counts: Counts = np.zeros((labels.num_labels, 2, 2), np.int64)
        """Images by label, whether they have it, and whether it was predicted."""

    def add(self, logits_NK: FloatArray, label_ND: FloatArray) -> None:
        """Count a batch; in a joint space an image counts for its own set."""
        predicted_NK = self._labels.predicted(logits_NK).astype(np.int64)
        true_NK = label_ND[:, : self._labels.num_labels].astype(np.int64)
        for set_index in range(len(self._labels.sets)):
            columns = self._labels.slice_of(set_index)
            known = self._labels.known_rows(label_ND, set_index)
            for column in range(columns.start, columns.stop):
                places = (true_NK[known, column], predicted_NK[known, column])
                np.add.at(self._counts[column], places, 1)

    def figures(self) -> dict[str, float]:
        """The accuracies by the names above, and `num_images`."""
        if not self._counts.size or not self._counts.sum():
            return {}
        shares, balanced = dict[str, float](), dict[str, float]()
        means = []
        for set_index, label_set in enumerate(self._labels.sets):
            counts = self._counts[self._labels.slice_of(set_index)]
            if not counts.sum():
                continue
            is_onehot = label_set.kind == "onehot"
            for name, own in zip(label_set.names, counts, strict=True):
                shares |= _named(name, _recall(own, 1) if is_onehot else _right(own))
                recalls = [_recall(own, 1)] if is_onehot else [_recall(own, 0), _recall(own, 1)]
                balanced |= _named(name, _mean(recalls))
            hits = counts[:, 1, 1].sum() / counts[:, 1].sum() if is_onehot else None
            means.append(float(np.mean([_right(own) for own in counts])) if hits is None else hits)
        figures = {f"accuracy/{name}": share for name, share in shares.items()}
        figures |= {f"balanced_accuracy/{name}": share for name, share in balanced.items()}
        totals = {"accuracy": float(np.mean(means)), "num_images": float(self._num_images())}
        if balanced:
            totals["balanced_accuracy"] = float(np.mean(list(balanced.values())))
        return totals | figures

    def _num_images(self) -> int:
        firsts = [self._labels.slice_of(n).start for n in range(len(self._labels.sets))]
        return int(sum(self._counts[first].sum() for first in firsts))


def _right(own: Counts) -> float:
    return float(np.trace(own) / own.sum())


def _recall(own: Counts, value: int) -> float | None:
    """Share of the images with (1) or without (0) the label that are recognised."""
    return float(own[value, value] / own[value].sum()) if own[value].sum() else None


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if len(known) == len(shares) else None


def _named(name: str, share: float | None) -> dict[str, float]:
    return {} if share is None else {name: share}
