"""Devices to compute on, checked before anything depends on them."""

import ctypes
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stargan_deploy.errors import BackendError, UsageError

if TYPE_CHECKING:
    import torch

CUDA_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""Library of the NVIDIA driver."""

DeviceKind = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Device:
    """A processor or one GPU; `str` gives its name as users type it."""

    kind: DeviceKind = "cpu"
    index: int = 0
    """Number of the GPU."""
    provider: str = ""
    """Name of the runtime's own execution provider, where it is not the one of the kind."""

    def __str__(self) -> str:
        """The name, such as "cuda:0"."""
        return f"{self.kind}:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def is_gpu(self) -> bool:
        """Whether it is not the processor."""
        return self.kind != "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether it is an NVIDIA GPU."""
        return self.kind == "cuda"

    def to_torch(self) -> "torch.device":
        """The device as PyTorch names it."""
        import torch

        return torch.device(str(self))

    def check_usable(self) -> None:
        """Refuses a device that PyTorch cannot use on this machine.

        Raises:
            BackendError: it cannot.
        """
        if self.kind == "cuda":
            self._check_cuda()
        elif self.kind == "mps" and not _has_metal():
            raise BackendError("device mps is not usable: this machine or torch build has no Metal")

    def synchronize(self) -> None:
        """Waits until everything that PyTorch gave the device is done."""
        import torch

        if self.kind == "cuda":
            torch.cuda.synchronize(self.index)
        elif self.kind == "mps":
            torch.mps.synchronize()

    def name(self) -> str:
        """The model of the processor, or of the GPU."""
        if self.kind == "cuda":
            import torch

            return torch.cuda.get_device_name(self.index)
        return _processor_name()

    def _check_cuda(self) -> None:
        import torch

        if not torch.cuda.is_available():
            reason = "torch was built without CUDA" if not torch.version.cuda else "no usable GPU"
            raise BackendError(f"device {self} is not usable: {reason}", hint="use `device` cpu")
        if self.index >= torch.cuda.device_count():
            raise BackendError(
                f"device {self} does not exist: {torch.cuda.device_count()} GPU(s) here"
            )


CPU = Device()


def parse_device(name: str) -> Device:
    """Reads "cpu", "cuda", "cuda:N" or "mps"; whether the device is usable is not asked.

    Raises:
        UsageError: no such kind of device.
    """
    match = re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", name)
    if match is None or (match[2] and match[1] != "cuda"):
        raise UsageError(f"unknown device {name!r}; known: cpu, cuda, cuda:N, mps")
    kind: DeviceKind = "cuda" if match[1] == "cuda" else "mps" if match[1] == "mps" else "cpu"
    return Device(kind, int(match[2] or 0))


def choose_device(name: str | None = None) -> Device:
    """The device asked for, or a GPU that PyTorch can use, else the CPU.

    Args:
        name: "cpu", "cuda", "cuda:N" or "mps"; None chooses.

    Raises:
        UsageError: no such kind of device.
        BackendError: the device is not usable on this machine.
    """
    if name is None:
        return Device("cuda") if is_cuda_usable() else CPU
    device = parse_device(name)
    device.check_usable()
    return device


def is_cuda_usable() -> bool:
    """Whether PyTorch can use an NVIDIA GPU here."""
    import torch

    return torch.cuda.is_available()


def num_gpus() -> int:
    """NVIDIA GPUs that the driver offers to this process, found out without PyTorch."""
    try:
        driver = ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def allowed_cores() -> list[int]:
    """The processor's cores that this process may use, by its affinity."""
    import psutil

    try:
        return sorted(psutil.Process().cpu_affinity() or [])
    except AttributeError:  # macOS has none
        return list(range(psutil.cpu_count() or 1))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(allowed_cores())


def _has_metal() -> bool:
    import torch

    return torch.backends.mps.is_available()


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
