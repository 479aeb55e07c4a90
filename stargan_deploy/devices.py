"""Which device to compute on, checked before anything depends on it."""

import re
from typing import TYPE_CHECKING

from stargan_deploy.errors import BackendError, UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str | None = None) -> "torch.device":
    """The device asked for, or the best usable one.

    Args:
        name: "cpu", "cuda", "cuda:N" or "mps"; None takes a usable GPU, else the CPU.

    Raises:
        UsageError: no such kind of device.
        BackendError: the device is not usable on this machine.
    """
    import torch

    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}; known: cpu, cuda, cuda:N, mps")
    if name.startswith("cuda"):
        _check_cuda(name)
        return torch.device(name if ":" in name else "cuda:0")
    if name == "mps" and not torch.backends.mps.is_available():
        raise BackendError("device mps is not usable: this machine or torch build has no Metal")
    return torch.device(name)


def _check_cuda(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        reason = "torch was built without CUDA" if not torch.version.cuda else "no usable GPU"
        raise BackendError(f"device {name} is not usable: {reason}; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise BackendError(f"device {name} does not exist: {torch.cuda.device_count()} GPU(s) here")
