"""The smallest network there is, for trying out a backend: one layer, one known number."""

import torch
from torch import Tensor, nn

from stargan_deploy.devices import is_cuda_usable
from stargan_deploy.errors import BackendError

TRIAL_RESULT = 36.0
"""The sum of 0 to 8, which every precision holds exactly."""


def trial_layer() -> nn.Module:
    """A 3x3 convolution that sums up what it sees, and a ReLU, which a compiler has to write."""
    convolution = nn.Conv2d(1, 1, 3, bias=False)
    nn.init.ones_(convolution.weight)
    return nn.Sequential(convolution, nn.ReLU()).eval().requires_grad_(False)


def trial_input() -> Tensor:
    """(1, 1, 3, 3): the numbers 0 to 8."""
    return torch.arange(9, dtype=torch.float32).reshape(1, 1, 3, 3)


def trial_devices() -> tuple[str, ...]:
    """The devices that a backend of torch is tried on."""
    return ("cpu", "cuda:0") if is_cuda_usable() else ("cpu",)


def check_trial(output: Tensor, device: str) -> None:
    """Compares the layer's output with the known number.

    Raises:
        BackendError: it is another one.
    """
    found = float(output)
    if found != TRIAL_RESULT:
        raise BackendError(
            f"one convolution on {device} gave {found} instead of {TRIAL_RESULT}; reinstall torch"
        )
