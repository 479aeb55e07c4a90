"""The charts of a benchmark, each of rows that may be compared. Without figures, one is empty."""

import math
from collections.abc import Sequence
from typing import Any

from stargan_deploy.backends.registry import runtime_names
from stargan_deploy.benchmarking.report.format import (
    EQUAL_PSNR_DB,
    IMAGES_PER_S,
    P50_MS,
    PATHS,
    ROOFLINE_SHARE,
    Figure,
    Group,
    drawable,
    is_baseline,
    is_drawable,
    name_among,
    psnr,
    speedup,
)
from stargan_deploy.benchmarking.report.palette import colour, shape
from stargan_deploy.benchmarking.results import MeasuredPath, Row, StartUp, TrainingRow
from stargan_deploy.presentation.bars import LEAST, Bar, BarChart
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.points import Path, Point, PointChart

MAX_WHISKERS = 1.6
"""Length of a latency chart as a multiple of its longest bar: rare late calls are cut."""

PATH_SHAPES = ("ring", "circle", "square")
"""Marks of the three paths, in their order."""

LEAST_PSNR_DB = 30.0
"""Lower end of the axis of picture errors, unless a row is worse."""


def latency_chart(group: Group) -> BarChart:
    """Medians of a call as bars with a line to p90 and p99, the shortest first."""
    pairs = _ranked(P50_MS, group)
    bars = [
        _bar(row, group, latency_words(row), p50_ms, digits(p50_ms), whisker=_whisker(row, p50_ms))
        for row, p50_ms in pairs
    ]
    limit = MAX_WHISKERS * max((p50_ms for _, p50_ms in pairs), default=0.0)
    axis = "ms a call: median, line to p90 and p99"
    return BarChart(
        title=group.title, axis=axis, bars=tuple(bars), line=_baseline(pairs), limit=limit
    )


def paths_chart(group: Group) -> BarChart:
    """The three paths of each row on one line, the shortest first."""
    bars = []
    for row, _ in _ranked(_longest_path_ms, group):
        shapes, medians = dict(zip(PATHS, PATH_SHAPES, strict=True)), _medians(row)
        marks = tuple((shapes[path], p50_ms) for path, p50_ms in medians.items())
        words = [f"{path}: {digits(p50_ms, 'ms')}" for path, p50_ms in medians.items()]
        bars.append(_bar(row, group, words, marks=marks))
    return BarChart(title=group.title, axis="ms a call, medians", bars=tuple(bars))


def speed_chart(group: Group) -> BarChart:
    """Images/s as bars, for groups of one batch size; the most first."""
    pairs = _ranked(IMAGES_PER_S, group)[::-1]
    bars = [_bar(row, group, latency_words(row), speed, digits(speed)) for row, speed in pairs]
    return BarChart(title=group.title, axis="images/s", bars=tuple(bars), line=_baseline(pairs))


def start_up_chart(group: Group) -> BarChart:
    """Build, load and first call one after the other, the shortest first."""
    bars = []
    for row, total_s in _ranked(_start_up_s, group):
        parts = _start_up_parts(row.start_up)
        words = [f"{name}: {digits(part, 's')}" for name, part in parts.items()]
        lengths = tuple(part or 0.0 for part in parts.values())
        bars.append(_bar(row, group, words, parts=lengths, value=digits(total_s, "s")))
    axis = "seconds until the first picture is there"
    return BarChart(title=group.title, axis=axis, bars=tuple(bars))


def roofline_chart(group: Group) -> BarChart:
    """Shares of the roofline, the nearest first, and the roof itself as a line."""
    bars = []
    for row, share in _ranked(ROOFLINE_SHARE, group)[::-1]:
        limit = f"limit: {row.roofline.bound}\n{row.roofline.note}" if row.roofline else ""
        words = (f"{percent(share)} of the roof", *limit.splitlines())
        bars.append(_bar(row, group, words, share, percent(share)))
    axis = "share of the roofline; the line is the roof"
    return BarChart(title=group.title, axis=axis, bars=tuple(bars), line=1.0, is_share=True)


def training_chart(rows: Sequence[TrainingRow]) -> BarChart:
    """Training throughput in each setting, the most first."""
    kept = [row for row in rows if is_drawable(row.images_per_s)]
    bars = [
        Bar(
            name=row.name,
            colour=colour(runtime_names()[0 if row is rows[0] else 1]),
            parts=(row.images_per_s,),
            value=digits(row.images_per_s),
            tooltip=f"{row.name}\n{speedup(row.speedup)} {rows[0].name}, "
            f"{digits(row.steps_per_s)} steps/s",
        )
        for row in sorted(kept, key=lambda row: -row.images_per_s)
    ]
    return BarChart(title="Training throughput", axis="images/s", bars=tuple(bars))


def throughput_chart(group: Group) -> PointChart:
    """Images/s over the batch size, a line for each backend and precision.

    Args:
        group: rows of all batch sizes.
    """
    lines: dict[str, list[tuple[Row, float]]] = {}
    pairs = [pair for pair in drawable(IMAGES_PER_S, group.rows) if pair[0].batch_size > 0]
    for row, speed in sorted(pairs, key=lambda pair: pair[0].batch_size):
        lines.setdefault(name_among(row, group.rows), []).append((row, speed))
    batches = sorted({row.batch_size for row, _ in pairs}) or [1]
    paths = [
        Path(
            name=name,
            colour=colour(line[0][0].backend),
            points=tuple(
                _point(row, row.batch_size, speed, name, latency_words(row)) for row, speed in line
            ),
        )
        for name, line in lines.items()
    ]
    return PointChart(
        title=group.title,
        x_axis="images in a batch",
        y_axis="images/s",
        paths=tuple(paths),
        x_range=(batches[0] / 1.15, batches[-1] * 1.15),
        y_range=(0.0, max(1.05 * max((speed for _, speed in pairs), default=0.0), LEAST)),
        x_names={batch: f"{batch}" for batch in batches},
        is_log=True,
    )


def quality_chart(group: Group) -> PointChart:
    """Speed-up over eager FP32 against PSNR: up and to the right is better."""
    paths = [path for row in group.rows if (path := _quality(row, group))]
    points = [path.points[0] for path in paths]
    low_db = min(LEAST_PSNR_DB, *(point.y - 4 for point in points), LEAST_PSNR_DB)
    return PointChart(
        title=group.title,
        x_axis="speed-up over eager FP32",
        y_axis="PSNR of the worst picture, dB",
        paths=tuple(paths),
        x_range=(0.0, 1.12 * max(1.0, *(point.x for point in points), 1.0)),
        y_range=(low_db, EQUAL_PSNR_DB + 5),
        x_unit="x",
        y_names={EQUAL_PSNR_DB: "equal"},
        line=1.0,
    )


def latency_words(row: Row) -> list[str]:
    """A tooltip's lines about a row's calls."""
    timing = row.host_to_host
    if timing is None:
        return []
    at = timing.statistics
    return [
        f"batch {row.batch_size}: p50 {digits(at.p50_ms)}, p90 {digits(at.p90_ms)}, "
        f"p99 {digits(at.p99_ms, 'ms')}",
        f"{digits(timing.images_per_s, 'images/s')}, {speedup(row.speedup)} eager FP32",
    ]


def _bar(
    row: Row, group: Group, words: Sequence[str], length: float = 0.0, value: str = "", **look: Any
) -> Bar:
    name = name_among(row, group.rows)
    look = {"parts": (length,) if value else (), "value": value} | look
    return Bar(name=name, colour=colour(row.backend), tooltip="\n".join((name, *words)), **look)


def _point(row: Row, x: float, y: float, name: str, words: Sequence[str]) -> Point:
    return Point(x=x, y=y, shape=shape(row), tooltip="\n".join((name, *words)))


def _quality(row: Row, group: Group) -> Path | None:
    """A row at its speed-up and PSNR; eager FP32 has the pictures that others are held to."""
    psnr_db = row.picture_error.psnr_db if row.picture_error else math.nan
    speed = row.speedup
    if is_baseline(row):
        psnr_db, speed = (psnr_db if row.picture_error else EQUAL_PSNR_DB), 1.0
    psnr_db = min(psnr_db, EQUAL_PSNR_DB)
    if speed is None or not is_drawable(speed) or not is_drawable(psnr_db):
        return None
    name = name_among(row, group.rows)
    words = [f"{digits(speed)}x eager FP32, PSNR {psnr(row)} dB"]
    point = _point(row, speed, psnr_db, name, words)
    return Path(name=name, colour=colour(row.backend), points=(point,))


def _ranked(figure: Figure, group: Group) -> list[tuple[Row, float]]:
    """The rows that have a figure, the least first."""
    return sorted(drawable(figure, group.rows), key=lambda pair: pair[1])


def _baseline(pairs: Sequence[tuple[Row, float]]) -> float | None:
    """Eager FP32's figure."""
    return next((value for row, value in pairs if is_baseline(row)), None)


def _whisker(row: Row, p50_ms: float) -> tuple[float, ...]:
    timing = row.host_to_host
    places = (timing.statistics.p90_ms, timing.statistics.p99_ms) if timing else ()
    return tuple(place for place in places if is_drawable(place) and place >= p50_ms)


def _medians(row: Row) -> dict[MeasuredPath, float]:
    timings = {path: row.timing(path) for path in PATHS}
    return {
        path: timing.statistics.p50_ms
        for path, timing in timings.items()
        if timing is not None and is_drawable(timing.statistics.p50_ms)
    }


def _longest_path_ms(row: Row) -> float | None:
    return max(_medians(row).values(), default=None)


def _start_up_s(row: Row) -> float | None:
    parts = _start_up_parts(row.start_up)
    return sum(part or 0.0 for part in parts.values()) if parts else None


def _start_up_parts(start_up: StartUp | None) -> dict[str, float | None]:
    """The parts that can be drawn; None for a build that was not needed."""
    if start_up is None:
        return {}
    parts = {
        "build": start_up.build_s,
        "load": start_up.load_s,
        "first call": start_up.first_call_s,
    }
    return {name: part for name, part in parts.items() if part is None or is_drawable(part)}
