"""Fits trained weights to other labels; those of labels that both spaces have are kept."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from stargan_deploy.errors import ModelError


def fit_labels(
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    key: str,
    *,
    axis: int,
    old: Sequence[str],
    new: Sequence[str],
) -> dict[str, Tensor]:
    """Fit one layer of a network's weights to other labels.

    Args:
        weights: weights trained for the labels `old`.
        fresh: weights of a new network for the labels `new`; labels not in `old` keep these.
        key: key of the layer's tensor.
        axis: axis of the tensor whose last channels belong to the labels.
        old: names of the labels behind `weights`.
        new: names of the labels wanted.

    Raises:
        ModelError: the rest of the layer differs too. Loading would not always notice, because
            other labels and another width of the noise may give the same number of channels.
    """
    fitted = fresh[key].clone().movedim(axis, 0)
    trained = weights[key].movedim(axis, 0)
    num_others = len(fitted) - len(new)
    if fitted.shape[1:] != trained.shape[1:] or len(trained) - len(old) != num_others:
        found, wanted = ([*tensor.shape[1:]] for tensor in (trained, fitted))
        raise ModelError(
            f"apart from labels {key} has {len(trained) - len(old)} channels of {found}, and the "
            f"recipe's network {num_others} of {wanted}",
            hint="use the checkpoint's model settings",
        )
    fitted[:num_others] = trained[:num_others]
    for index, name in enumerate(new):
        if name in old:
            fitted[num_others + index] = trained[num_others + old.index(name)]
    return dict(weights) | {key: fitted.movedim(0, axis).contiguous()}
