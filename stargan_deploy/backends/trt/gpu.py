"""The NVIDIA GPUs of this machine, or the reason why there is none to use."""

import ctypes
import dataclasses

from stargan_deploy.devices import CUDA_DRIVER, Device, choose_device
from stargan_deploy.errors import BackendError


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


def pick_gpu(wanted: Device | None = None) -> Gpu:
    """The GPU asked for, or the first one.

    Raises:
        BackendError: a device that is not a GPU, or that is not usable on this machine.
    """
    if wanted is not None and not wanted.is_cuda:
        raise BackendError(
            f"TensorRT engines run on NVIDIA GPUs only, not on {wanted}", hint="use `device` cuda"
        )
    reason = why_no_gpu()
    if reason is not None:
        raise BackendError(
            f"TensorRT engines run on NVIDIA GPUs only, and this machine has {reason}",
            hint="use a machine with one",
        )
    return describe_gpu(choose_device(str(wanted or Device("cuda"))))


def find_gpu(wanted: Device | None = None) -> Gpu | None:
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
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return f"no NVIDIA driver ({CUDA_DRIVER})"
    if torch.version.cuda is None:
        return "a torch that was built without CUDA"
    return "no NVIDIA GPU that torch can use"


def describe_gpu(device: Device) -> Gpu:
    """Looks up a GPU of this machine."""
    import torch

    return Gpu(
        device=str(device),
        name=device.name(),
        capability=torch.cuda.get_device_capability(device.index),
        driver=_driver_version(),
    )


def _driver_version() -> str:
    """The driver's CUDA version: it counts 13.1 as 13010."""
    version = ctypes.c_int()
    ctypes.CDLL(CUDA_DRIVER).cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
