"""What Linux says of the processor and memory that this process may use.

Elsewhere, and wherever a file is missing or odd, the answer is None or empty; nothing here raises.
Every function takes the root of the file system, so that recorded trees can be read.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

INSTRUCTION_SETS = (
    *("avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8", "avx_ne_convert"),
    *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx10"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "svebf16", "svei8mm", "sme"),
)
"""Flags in /proc/cpuinfo that matter for the arithmetic, of x86 and of ARM."""

_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""Kernel drivers of processors' own temperature sensors."""


def instruction_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Those of `INSTRUCTION_SETS` that the processor has, in that order."""
    found = set(next(_cpuinfo(root, "flags", "Features"), "").split())
    return tuple(name for name in INSTRUCTION_SETS if name in found)


def num_cores(root: Path = ROOT) -> int:
    """Logical cores that this process may use, by its affinity and its control group's quota."""
    allowed = len(_allowed_cores())
    return min([allowed, *(max(1, math.ceil(quota)) for quota in _cpu_quotas(root))])


def memory_bytes(root: Path = ROOT) -> int | None:
    """Memory that this process may use: the machine's, or its control group's where that is less.

    An unlimited group says "max" or a number beyond any machine.
    """
    limits = [_installed_bytes()]
    for group in _control_groups(root):
        limits += [_integer(group / "memory.max"), _integer(group / "memory.limit_in_bytes")]
    return min((limit for limit in limits if limit), default=None)


def clocks_mhz(root: Path = ROOT) -> tuple[float, ...]:
    """Current clock of each core that this process may use; empty where nobody says."""
    cores = _allowed_cores()
    folder = root / "sys/devices/system/cpu"
    scaled = [_integer(folder / f"cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    if any(scaled):
        return tuple(khz / 1000 for khz in scaled if khz)
    # A virtual machine has no cpufreq, and what it says here may be the nominal clock.
    listed = dict(zip(_cpuinfo(root, "processor"), _cpuinfo(root, "cpu MHz"), strict=False))
    return tuple(filter(None, (_number(listed.get(str(core), "")) for core in cores)))


def temperature_celsius(root: Path = ROOT) -> float | None:
    """The warmest of the processor's own sensors."""
    found: list[int | None] = []
    for folder in _folders(root / "sys/class/hwmon"):
        if _text(folder / "name").strip() in _SENSORS:
            found += map(_integer, sorted(folder.glob("temp*_input")))
    for zone in _folders(root / "sys/class/thermal"):
        kind = _text(zone / "type").strip().lower()
        if kind.startswith(("x86_pkg_temp", "cpu")):
            found.append(_integer(zone / "temp"))
    return max((milli / 1000 for milli in found if milli), default=None)


def load_average() -> float | None:
    """Runnable processes over the last minute."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows has none
        return None


def _allowed_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that each control group around this process grants."""
    for group in _control_groups(root):
        quota, _, period = _text(group / "cpu.max").strip().partition(" ")
        pairs = [
            (_number(quota), _number(period)),
            (_number(_text(group / "cpu.cfs_quota_us")), _integer(group / "cpu.cfs_period_us")),
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


def _installed_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):  # Windows has none
        return None


def _cpuinfo(root: Path, *keys: str) -> Iterator[str]:
    """Values of the lines of /proc/cpuinfo with one of these keys."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            yield value.strip()


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _integer(path: Path) -> int | None:
    number = _number(_text(path))
    return None if number is None else int(number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # a sensor that is switched off gives an I/O error
        return ""
