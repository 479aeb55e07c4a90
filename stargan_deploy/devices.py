"""Which device to compute on, checked before anything depends on it."""

import platform
import re
from pathlib import Path
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


def machine_name(device: str = "cpu") -> str:
    """The model of the processor, or of the GPU behind a "cuda:N" device."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def is_cuda_usable() -> bool:
    """Whether torch can use an NVIDIA GPU here."""
    import torch

    return torch.cuda.is_available()


def _check_cuda(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        reason = "torch was built without CUDA" if not torch.version.cuda else "no usable GPU"
        raise BackendError(f"device {name} is not usable: {reason}; use --device cpu")
    index = int(name.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise BackendError(f"device {name} does not exist: {torch.cuda.device_count()} GPU(s) here")
