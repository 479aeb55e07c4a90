"""Starts a narrow network from the weights of a wide one, whose least important channels go.

The importance of a channel is the L1 norm of the weights that make it (Li et al., "Pruning filters
for efficient ConvNets", ICLR 2017), or the magnitude of its norm's scale (Liu et al., "Network
slimming", ICCV 2017), summed over all layers that write it.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stargan_deploy.errors import ModelError, UsageError
from stargan_deploy.families.distillation.base import Channels
from stargan_deploy.families.distillation.config import ImportanceName

_Place = tuple[str, int]
"""Key of a tensor, and an axis of it."""


def pruned(
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    channels: Sequence[Channels],
    *,
    importance: ImportanceName = "weights",
) -> dict[str, Tensor]:
    """Fit a network's weights to a narrower one.

    With equal widths the result is the weights themselves.

    Args:
        weights: weights of the wide network, under the keys of the narrow one.
        fresh: weights of the narrow network, which say how many channels to keep.
        channels: the channels of the narrow network.
        importance: what decides which ones are kept.

    Raises:
        UsageError: the network is wider somewhere, or has no scales to rank channels by.
        ModelError: the networks differ in more than their channels.
    """
    kept: dict[_Place, Tensor] = {}
    num_read: dict[_Place, int] = {}
    for group in channels:
        key, axis = next(iter(group.written.items()))
        count, wanted = weights[key].shape[axis], fresh[key].shape[axis]
        chosen = _most_important(group, weights, wanted, importance)
        kept |= dict.fromkeys(group.written.items(), chosen)
        kept |= dict.fromkeys(((name, 0) for name in (*group.scales, *group.vectors)), chosen)
        for place in group.read.items():
            start = num_read.get(place, 0)
            own = chosen + start
            kept[place] = torch.cat([kept[place], own]) if start else own
            num_read[place] = start + count
    fitted = {key: tensor.clone() for key, tensor in weights.items()}
    for (key, axis), chosen in kept.items():
        fitted[key] = fitted[key].index_select(axis, chosen)
    _refuse_other_shapes(fitted, fresh)
    return fitted


def _most_important(
    group: Channels, weights: Mapping[str, Tensor], count: int, importance: ImportanceName
) -> Tensor:
    """Indices of the channels to keep, in their order."""
    values = _norms(group, weights) if importance == "weights" else _scales(group, weights)
    if count > len(values):
        raise UsageError(
            f"the student has {count} channels where its teacher has {len(values)}, so that it "
            "cannot start from the teacher's weights",
            hint="set a smaller `width`, or `distil.start` to scratch",
        )
    order = torch.argsort(values, descending=True, stable=True)
    return order[:count].sort().values


def _norms(group: Channels, weights: Mapping[str, Tensor]) -> Tensor:
    sums = [
        weights[key].movedim(axis, 0).flatten(1).abs().sum(dim=1)
        for key, axis in group.written.items()
    ]
    return torch.stack(sums).sum(dim=0)


def _scales(group: Channels, weights: Mapping[str, Tensor]) -> Tensor:
    if not group.scales:
        if not group.written.keys() & weights.keys():
            raise ModelError("these weights have no such layers")
        raise UsageError(
            "`distil.importance` norms ranks channels by the scales of their norms, and this "
            f"network has none behind {', '.join(group.written)}",
            hint="set `distil.importance` to weights",
        )
    return torch.stack([weights[key].abs() for key in group.scales]).sum(dim=0)


def _refuse_other_shapes(fitted: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> None:
    for key, tensor in fresh.items():
        if key not in fitted or fitted[key].shape != tensor.shape:
            found = [*fitted[key].shape] if key in fitted else "nothing"
            raise ModelError(
                f"the teacher has {found} for {key}, and the student {[*tensor.shape]}",
                hint="student and teacher may differ in width and number of blocks",
            )
