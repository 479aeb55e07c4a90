"""Sensors of an NVIDIA GPU, read through NVML. What the driver does not report is None."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from stargan_deploy.devices import Device

REASONS = {
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: "application clocks",
    pynvml.nvmlClocksEventReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "sync boost",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "software thermal slowdown",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "hardware thermal slowdown",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display clocks",
}
"""Bits of the mask of throttling reasons. An idle GPU has a bit of its own and is not throttled."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuState:
    """State of one GPU at one moment, as the driver reports it."""

    uuid: str | None = None
    name: str | None = None
    driver: str | None = None
    mhz: float | None = None
    """Clock of the multiprocessors."""
    memory_mhz: float | None = None
    watts: float | None = None
    """Power draw of the board; newer cards report the mean of the last second."""
    celsius: float | None = None
    used_bytes: int | None = None
    """Memory in use by all processes."""
    throttling: tuple[str, ...] = ()
    """Reasons for running below the GPU's clock."""


def gpu_uuid(device: Device) -> str:
    """The driver's UUID for a GPU; empty where torch does not know it, or for the CPU."""
    import torch

    if not device.is_cuda:
        return ""
    try:
        return f"GPU-{torch.cuda.get_device_properties(device.to_torch()).uuid}"
    except (RuntimeError, AssertionError, AttributeError, ValueError):
        return ""


def read_gpu(uuid: str = "") -> GpuState | None:
    """Reads the sensors of a GPU; never raises.

    Args:
        uuid: as `gpu_uuid` returns it. If no GPU has it, as in a container that sees part of one,
            the only GPU is read.

    Returns:
        Its state; None without a driver, without a GPU, or if the choice is ambiguous.
    """
    with contextlib.suppress(pynvml.NVMLError), _nvml():
        handle = _find(uuid)
        return _read(handle) if handle is not None else None
    return None


@contextlib.contextmanager
def _nvml() -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _find(uuid: str) -> Any:
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(uuid)
    except pynvml.NVMLError:
        is_only_one = pynvml.nvmlDeviceGetCount() == 1
        return pynvml.nvmlDeviceGetHandleByIndex(0) if is_only_one else None


def _read(handle: Any) -> GpuState:
    milliwatts = _ask(pynvml.nvmlDeviceGetPowerUsage, handle)
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return GpuState(
        uuid=_ask(pynvml.nvmlDeviceGetUUID, handle),
        name=_ask(pynvml.nvmlDeviceGetName, handle),
        driver=_ask(pynvml.nvmlSystemGetDriverVersion),
        mhz=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        memory_mhz=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM),
        watts=None if milliwatts is None else milliwatts / 1e3,
        celsius=_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        used_bytes=None if memory is None else memory.used,
        throttling=_reasons(handle),
    )


def _reasons(handle: Any) -> tuple[str, ...]:
    mask = _ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if mask is None:  # the name of drivers before 535
        mask = _ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return tuple(name for bit, name in REASONS.items() if (mask or 0) & bit)


def _ask(function: Callable[..., Any], *args: Any) -> Any:
    """A function's answer; None where this GPU or driver does not support it."""
    try:
        return function(*args)
    except pynvml.NVMLError:
        return None
