"""The processor and memory that this process may use.

psutil knows the machine; the limits of control groups and the instruction sets, which it does not
know, are read from Linux's own files. Their functions take the root of the file system, so that
recorded trees can be read. What is unknown is None or empty; nothing here raises.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import psutil

from stargan_deploy.devices import allowed_cores

ROOT = Path("/")

INSTRUCTION_SETS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8", "avx_ne_convert"),
    *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx10"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "svebf16", "svei8mm", "sme"),
)
"""Flags in /proc/cpuinfo that matter for the arithmetic, of x86 and of ARM."""

_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu", "x86_pkg_temp")
"""Prefixes of the names of processors' own temperature sensors."""


def instruction_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Those of `INSTRUCTION_SETS` that the processor has, in that order."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return tuple(name for name in INSTRUCTION_SETS if name in flags.split())
    return ()


def num_cores(root: Path = ROOT) -> int:
    """Logical cores that this process may use, by its affinity and its control group's quota."""
    quotas = (max(1, math.ceil(quota)) for quota in _cpu_quotas(root))
    return min([len(allowed_cores()), *quotas])


def memory_bytes(root: Path = ROOT) -> int:
    """Memory that this process may use: the machine's, or its control group's where that is less.

    An unlimited group says "max" or a number beyond any machine.
    """
    limits: list[float | None] = [psutil.virtual_memory().total]
    for group in _control_groups(root):
        limits += [_number(group / "memory.max"), _number(group / "memory.limit_in_bytes")]
    return int(min(limit for limit in limits if limit))


def clocks_mhz() -> tuple[float, ...]:
    """Current clock of each core that this process may use; empty if unknown.

    A virtual machine may report the nominal clock.
    """
    try:
        clocks = [each.current for each in psutil.cpu_freq(percpu=True)]
    except (OSError, NotImplementedError, AttributeError):
        return ()
    return tuple(clocks[core] for core in allowed_cores() if core < len(clocks) and clocks[core])


def temperature_celsius() -> float | None:
    """Reading of the warmest of the processor's own sensors."""
    try:
        sensors = psutil.sensors_temperatures()
    except (OSError, AttributeError):  # not on macOS and Windows
        return None
    found = (
        sensor.current
        for name, readings in sensors.items()
        if name.lower().startswith(_SENSORS)
        for sensor in readings
    )
    return max(filter(None, found), default=None)


def load_average() -> float | None:
    """Runnable processes over the last minute."""
    try:
        return psutil.getloadavg()[0]
    except OSError:
        return None


def _cpu_quotas(root: Path) -> Iterator[float]:
    """CPU time that each control group around this process grants, in cores."""
    for group in _control_groups(root):
        quota, _, period = _text(group / "cpu.max").strip().partition(" ")
        pairs = [
            (_float(quota), _float(period)),
            (_number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")),
        ]
        for granted, span in pairs:
            if granted and span and granted > 0:  # -1 and "max" are no limit
                yield granted / span


def _control_groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups around this process, of either version of the interface."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        kinds = {controllers, *controllers.split(",")} if controllers else {"", "unified"}
        for kind in sorted(kinds):
            # In a container the group's own folder may be missing and be mounted as the top.
            yield from (mount.joinpath(kind, *parts[:end]) for end in range(len(parts) + 1))


def _number(path: Path) -> float | None:
    return _float(_text(path))


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
