"""Names and figures of a benchmark's rows, the same in tables and charts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from stargan_deploy.backends.registry import REFERENCE
from stargan_deploy.benchmarking.results import (
    BatchRow,
    Machine,
    MeasuredPath,
    Results,
    Row,
    TrainingRow,
)
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.text import NOTHING

PATHS: tuple[MeasuredPath, ...] = get_args(MeasuredPath)

Figure = str | Callable[[Row], float | None]
"""A figure of a row: its dotted path, or a function."""

P50_MS = "host_to_host.statistics.p50_ms"
IMAGES_PER_S = "host_to_host.images_per_s"
ROOFLINE_SHARE = "roofline.share"
"""Dotted paths to the figures of a row that charts and tables show."""

EQUAL_PSNR_DB = 100.0
"""PSNR from which pictures count as equal (backends.difference.BEST_PSNR_DB)."""

FEW_CALLS = 5
"""Calls below which a latency is hardly one."""

GREATEST = 1e12
"""Figures from here on, in any unit, are no measurement."""

UNPROVEN = "\N{DAGGER}"
UNPROVEN_NOTE = f"{UNPROVEN} not proven equal to PyTorch within the tolerance of its precision"

_SHORT = {
    "float32": "FP32",
    "float16": "FP16",
    "bfloat16": "BF16",
    "tfloat32": "TF32",
    "int8": "INT8",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that may be compared call by call: one entry point, kind of device, size and batch."""

    entry_point: str
    """Empty where all rows have the same."""
    device: str
    """Kind of the device: "cpu", "cuda"."""
    height: int
    width: int
    batch_size: int | None
    """None where all batch sizes are together."""
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Entry point, device, size and batch of all of its rows."""
        point = f"{self.entry_point}, " if self.entry_point else ""
        batch = "" if self.batch_size is None else f", batch {self.batch_size}"
        return f"{point}{self.device}, {self.width}x{self.height}{batch}"


UNREMARKABLE = frozenset(("translate", "sample"))
"""Entry points that a report need not name."""


def groups(rows: Sequence[Row], *, by_batch: bool = True) -> list[Group]:
    """The rows in groups: entry points and devices as they come, then by size and batch size."""
    points = list(dict.fromkeys(row.entry_point for row in rows))
    devices = list(dict.fromkeys(row.device_kind for row in rows))
    members: dict[tuple[int, int, int, int, int], list[Row]] = {}
    for row in rows:
        place = points.index(row.entry_point), devices.index(row.device_kind)
        batch = row.batch_size if by_batch else 0
        members.setdefault((*place, row.height, row.width, batch), []).append(row)
    return [
        Group(
            entry_point=points[point] if len(points) > 1 else "",
            device=devices[device],
            height=height,
            width=width,
            batch_size=batch or None,
            rows=tuple(members[point, device, height, width, batch]),
        )
        for point, device, height, width, batch in sorted(members)
    ]


def precision_name(precision: str) -> str:
    """Types that are computed in, the narrowest first: "INT8+FP32"."""
    parts = sorted(precision.split("+"), key=lambda part: part != "int8")
    return "+".join(_SHORT.get(part, part) for part in parts)


def row_precision(row: Row) -> str:
    """The verified precision, marked where unproven, and what was asked for if that differs."""
    name = precision_name(row.precision)
    asked = row.asked_precision.upper()
    other = f" (asked {asked})" if asked not in name.upper().split("+") else ""
    return f"{name}{'' if row.verified else UNPROVEN}{other}"


def row_name(row: Row) -> str:
    """Backend and precision, which tell the rows of a group apart."""
    return f"{row.backend} {row_precision(row)}"


def has_one_point(rows: Sequence[Row]) -> bool:
    """Whether all rows are of the same entry point, which then needs no mention in each."""
    return len({row.entry_point for row in rows}) < 2


def name_across(row: Row, rows: Sequence[Row]) -> str:
    """A row's name, with its entry point where that is not the same everywhere."""
    name = row_name(row)
    return name if has_one_point(rows) else f"{name} {row.entry_point}"


def name_among(row: Row, rows: Sequence[Row]) -> str:
    """A name within a group: with its device where others of the batch size have the same name."""
    name = row_name(row)
    same = [o for o in rows if o.batch_size == row.batch_size and row_name(o) == name]
    return f"{name} {row.device}" if len(same) > 1 else name


def is_baseline(row: Row) -> bool:
    """Whether this is eager FP32, which speeds and pictures are compared with."""
    return row.backend == REFERENCE and row.asked_precision == "fp32"


def is_hardly_timed(row: Row) -> bool:
    """Whether a row's latency rests on so few calls that nothing follows from it."""
    timing = row.host_to_host
    return timing is not None and timing.statistics.num < FEW_CALLS


def value_at(item: Any, path: str) -> Any:
    """The attribute at a dotted path, or None where it or what leads to it is missing."""
    for name in path.split("."):
        item = getattr(item, name, None)
    return item


def is_drawable(value: float) -> bool:
    """Whether a figure has a place on an axis; files of results may hold NaN and infinities."""
    return 0 <= value < GREATEST


def drawable(figure: Figure, rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """The rows that have a figure which can be compared and drawn, with it."""
    pairs = [(r, value_at(r, figure) if isinstance(figure, str) else figure(r)) for r in rows]
    return [(row, value) for row, value in pairs if value is not None and is_drawable(value)]


def speedup(value: float | None) -> str:
    """A factor: "2.94x"."""
    text = digits(value)
    return text if text == NOTHING else f"{text}x"


def psnr(row: Row | BatchRow) -> str:
    """PSNR of the worst picture in dB, or "equal"."""
    if row.picture_error is None or math.isnan(row.picture_error.psnr_db):
        return NOTHING
    psnr_db = row.picture_error.psnr_db
    return "equal" if psnr_db >= EQUAL_PSNR_DB else f"{psnr_db:.1f}"


def size(row: Row | TrainingRow | BatchRow) -> str:
    """Width and height of a picture; those of training and of the batch job are square."""
    if isinstance(row, Row):
        return f"{row.width}x{row.height}"
    return f"{row.image_size}x{row.image_size}"


def file_size(size_bytes: float | None) -> str:
    """A size with a decimal unit: "33.7 MB"."""
    if size_bytes is None:
        return NOTHING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return digits(size_bytes / scale, unit)
    return f"{size_bytes:.0f} B"


def moment(created: str) -> str:
    """A time as people read it: "2026-11-22 08:15 UTC"."""
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return created


def versions(machine: Machine) -> list[str]:
    """Libraries with their versions, in an order that does not depend on where they come from."""
    return [f"{name} {version}" for name, version in sorted(machine.versions.items())]


def model_name(results: Results) -> str:
    """The model's file, with the only entry point that was measured, unless it is a usual one."""
    points = {row.entry_point for row in results.rows}
    named = points - UNREMARKABLE if len(points) == 1 else ()
    return ", ".join((results.model, *named))


def device_names(results: Results) -> str:
    """The hardware that the rows ran on, in the order in which it comes."""
    machine = results.machine
    cpu = f"{machine.cpu}, {machine.num_cores} cores"
    kinds = dict.fromkeys(row.device_kind for row in results.rows) or {"cpu": None}
    names = [cpu if kind == "cpu" else machine.gpu or kind for kind in kinds]
    return " and ".join(dict.fromkeys(names))
