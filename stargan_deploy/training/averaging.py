"""Exponential moving averages of weights (EMA)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """A smoothed copy of a network's weights.

    After n updates the decay is at most (1 + n) / (10 + n), so that the first random weights do not
    dominate the average.

    Args:
        network: the network whose weights are averaged.
        decay: share of the old average that an update keeps, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.weights: dict[str, Tensor] = {k: v.detach().clone() for k, v in _state(network)}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network's present weights."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        for key, value in _state(network):
            if value.is_floating_point():
                self.weights[key].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[key].copy_(value)  # batch norm counts its batches

    def load(self, weights: Mapping[str, Tensor], num_updates: int) -> None:
        """Restore a saved average."""
        for key, value in self.weights.items():
            value.copy_(weights[key])
        self.num_updates = num_updates


def _state(network: nn.Module) -> list[tuple[str, Tensor]]:
    return list(network.state_dict().items())
