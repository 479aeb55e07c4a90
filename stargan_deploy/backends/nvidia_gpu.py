"""The NVIDIA GPUs of this machine, or the reason why there is none to use."""

import ctypes
import dataclasses
import re
import sys

from stargan_deploy.devices import pick_device
from stargan_deploy.errors import BackendError, UsageError

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU of this machine."""

    device: str
    """As torch calls it, such as "cuda:0"."""
    name: str
    capability: tuple[int, int]
    """CUDA compute capability, such as (8, 9)."""
    driver: str
    """Newest CUDA version that the installed driver runs, such as "13.0"."""


def pick_gpu(wanted: str | None = None) -> Gpu:
    """The GPU asked for, or the first one.

    Args:
        wanted: "cuda", "cuda:N", or None for the first.

    Raises:
        UsageError: no such kind of device.
        BackendError: a device that is not a GPU, or that is not usable on this machine.
    """
    if wanted is not None and not re.fullmatch(r"cuda(:\d+)?", wanted):
        if wanted in ("cpu", "mps"):
            raise BackendError(
                f"TensorRT engines run on NVIDIA GPUs only, not on {wanted}",
                hint="use `device` cuda",
            )
        raise UsageError(f"unknown device {wanted!r}; TensorRT engines run on cuda or cuda:N")
    reason = why_no_gpu()
    if reason is not None:
        raise BackendError(
            f"TensorRT engines run on NVIDIA GPUs only, and here is {reason}",
            hint="use a machine with one",
        )
    return describe_gpu(str(pick_device(wanted or "cuda")))


def find_gpu(wanted: str | None = None) -> Gpu | None:
    """The GPU asked for or the first one; None where no GPU is usable at all.

    Raises:
        BackendError: there are GPUs, but not the one asked for.
    """
    return pick_gpu(wanted) if why_no_gpu() is None else None


def why_no_gpu() -> str | None:
    """The reason why torch cannot use a GPU, worded to follow "here is"; None where it can."""
    import torch

    if torch.version.cuda is not None and torch.cuda.is_available():
        return None
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return f"no NVIDIA driver ({DRIVER_LIBRARY})"
    if torch.version.cuda is None:
        return "a torch that was built without CUDA"
    return "no NVIDIA GPU that torch can use"


def describe_gpu(device: str) -> Gpu:
    """Looks up a GPU of this machine."""
    import torch

    return Gpu(
        device=device,
        name=torch.cuda.get_device_name(device),
        capability=torch.cuda.get_device_capability(device),
        driver=_driver_version(),
    )


def _driver_version() -> str:
    """The driver's CUDA version: it counts 13.1 as 13010."""
    version = ctypes.c_int()
    ctypes.CDLL(DRIVER_LIBRARY).cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
