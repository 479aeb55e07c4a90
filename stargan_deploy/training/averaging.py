"""Exponential moving averages of weights (EMA)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """A smoothed copy of a network's weights.

    Args:
        network: the network whose weights are averaged.
        decay: share of the old average that an update keeps, in [0, 1).
        warms_up: whether the decay after n updates is at most (1 + n) / (10 + n), so that the first
            random weights do not dominate the average.
    """

    def __init__(self, network: nn.Module, decay: float, *, warms_up: bool = True) -> None:
        self.decay = decay
        self.warms_up = warms_up
        self.num_updates = 0
        self.weights: dict[str, Tensor] = {k: v.detach().clone() for k, v in _state(network)}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network's present weights."""
        most = (1 + self.num_updates) / (10 + self.num_updates) if self.warms_up else 1.0
        decay = min(self.decay, most)
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
