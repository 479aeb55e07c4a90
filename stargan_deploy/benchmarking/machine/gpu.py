"""Sensors of an NVIDIA GPU, read by the driver's own tool.

`nvidia-smi` is asked rather than NVML through ctypes: it comes with every driver and fits it, while
NVML's structures change with its version, and a wrong one would crash this process. A query costs
about 0.1 s. What it does not say is None; nothing here raises.
"""

import csv
import dataclasses
import math
import shutil
import subprocess

LIMIT_S = 20.0
"""How long to wait for the tool; a driver that was not in use takes seconds to wake."""

FIELDS = (
    *("uuid", "name", "driver_version", "clocks.sm", "clocks.mem"),
    *("power.draw", "temperature.gpu", "memory.used"),
)

REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The same field by its names from driver 535 on and before; an unknown one spoils a whole query.
"""

REASONS = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clocks",
}
"""Bits of the mask of active reasons (nvml.h). Bit 0, an idle GPU, is no throttling."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuState:
    """What the driver says of one GPU at one moment."""

    uuid: str | None = None
    name: str | None = None
    driver: str | None = None
    mhz: float | None = None
    """Clock of the multiprocessors."""
    memory_mhz: float | None = None
    watts: float | None = None
    """Of the board; newer cards give the mean of the last second."""
    celsius: float | None = None
    used_bytes: int | None = None
    """Memory in use by all processes."""
    throttling: tuple[str, ...] = ()


def gpu_uuid(device: str) -> str:
    """The name by which the driver knows a "cuda:N" device; empty where torch cannot say."""
    import torch

    try:
        properties = torch.cuda.get_device_properties(device)
        return f"GPU-{properties.uuid}"
    except (RuntimeError, AssertionError, AttributeError, ValueError):
        return ""


def read_gpu(uuid: str = "") -> GpuState | None:
    """Asks the driver about a GPU.

    Args:
        uuid: as `gpu_uuid` gives it; the only GPU is taken where none has it, as in a container
            that sees a part of one.

    Returns:
        Its state; None without the tool, without a GPU, or where several might be meant.
    """
    rows = parse_rows(_ask(("uuid", *FIELDS)), len(FIELDS) + 1)
    row = _choose(rows, uuid)
    if row is None:
        return None
    found = dict(zip(FIELDS, row[1:], strict=True))
    mebibytes = number(found["memory.used"])
    return GpuState(
        uuid=_known(found["uuid"]),
        name=_known(found["name"]),
        driver=_known(found["driver_version"]),
        mhz=number(found["clocks.sm"]),
        memory_mhz=number(found["clocks.mem"]),
        watts=number(found["power.draw"]),
        celsius=number(found["temperature.gpu"]),
        used_bytes=None if mebibytes is None else round(mebibytes * 2**20),
        throttling=_read_reasons(row[0]),
    )


def parse_rows(text: str, num_fields: int) -> list[list[str]]:
    """Rows of the tool's comma-separated answer that have as many fields as were asked for."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    try:
        return [[value.strip() for value in row] for row in rows if len(row) == num_fields]
    except csv.Error:
        return []


def number(text: str) -> float | None:
    """A reading without its unit; None for "[N/A]", "[Not Supported]" and the like."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def reasons(mask: str) -> tuple[str, ...]:
    """Words for a mask of active reasons such as "0x0000000000000004"."""
    try:
        bits = int(mask, 16)
    except ValueError:
        return ()
    return tuple(name for bit, name in REASONS.items() if bits & bit)


def _read_reasons(uuid: str) -> tuple[str, ...]:
    for field in REASON_FIELDS:
        row = _choose(parse_rows(_ask(("uuid", field)), 2), uuid)
        if row is not None:
            return reasons(row[1])
    return ()


def _choose(rows: list[list[str]], uuid: str) -> list[str] | None:
    """The row that starts with a UUID, or the only one."""
    named = [row for row in rows if row[0] == uuid]
    return named[0] if named else rows[0] if len(rows) == 1 else None


def _known(text: str) -> str | None:
    return None if not text or text.startswith("[") or text == "N/A" else text


def _ask(fields: tuple[str, ...]) -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    query = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
