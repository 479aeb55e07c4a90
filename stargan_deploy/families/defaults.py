"""What most families answer alike, under the names that `families.registry.Family` asks for."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from stargan_deploy.card.labels import LabelSpace


def relabel(
    role: str,  # noqa: ARG001 - the protocol
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],  # noqa: ARG001
    *,
    old: LabelSpace,  # noqa: ARG001
    new: LabelSpace,  # noqa: ARG001
) -> dict[str, Tensor]:
    """The weights as they are; where another number of labels enters, they will not fit."""
    return dict(weights)


def notes(network: Mapping[str, Any]) -> tuple[str, ...]:  # noqa: ARG001 - the protocol
    """Nothing to say."""
    return ()
