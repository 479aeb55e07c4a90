"""The bar charts of a benchmark: each takes comparable rows and gives an HTML figure.

A figure of rows that hold nothing to show is empty text.
"""

from collections.abc import Callable, Sequence

from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.bars import Lane, lanes_figure
from stargan_deploy.benchmarking.report.format import Group, digits, is_drawable, percent
from stargan_deploy.benchmarking.report.palette import Shape, colour
from stargan_deploy.benchmarking.results import MeasuredPath, Row, StartUp, Statistics, TrainingRow

MAX_WHISKERS = 1.6
"""Length of a latency chart as a multiple of its longest bar: rare late calls are cut."""

PATH_SHAPES: tuple[Shape, ...] = ("ring", "circle", "square")
"""Marks of the three paths, in their order."""


def latency_figure(group: Group) -> str:
    """Medians of a call as bars with a line to p90 and p99, the shortest first."""
    pairs = _ranked(wording.main_p50_ms, group)
    lanes = [
        _lane(
            row,
            group,
            parts=(p50_ms,),
            whisker=_whisker(row, p50_ms),
            value=digits(p50_ms),
            words=latency_words(row),
        )
        for row, p50_ms in pairs
    ]
    return lanes_figure(
        lanes,
        title=group.title,
        axis="ms a call: median, line to p90 and p99",
        line=_baseline(pairs),
        limit=MAX_WHISKERS * max((p50_ms for _, p50_ms in pairs), default=0.0),
    )


def paths_figure(group: Group) -> str:
    """The three paths of each row on one line, the shortest first."""
    lanes = []
    for row, _ in _ranked(_longest_path_ms, group):
        medians = _medians(row)
        shapes = dict(zip(wording.PATHS, PATH_SHAPES, strict=True))
        marks = tuple((shapes[path], p50_ms) for path, p50_ms in medians.items())
        words = [f"{path}: {digits(p50_ms, 'ms')}" for path, p50_ms in medians.items()]
        lanes.append(_lane(row, group, marks=marks, words=words))
    return lanes_figure(lanes, title=group.title, axis="ms a call, medians")


def speed_figure(group: Group) -> str:
    """Images/s as bars, for groups of one batch size; the most first."""
    pairs = _ranked(wording.images_per_s, group)[::-1]
    lanes = [
        _lane(row, group, parts=(speed,), value=digits(speed), words=latency_words(row))
        for row, speed in pairs
    ]
    return lanes_figure(lanes, title=group.title, axis="images/s", line=_baseline(pairs))


def start_up_figure(group: Group) -> str:
    """Build, load and first call one after the other, the shortest first."""
    lanes = []
    for row, total_s in _ranked(_start_up_s, group):
        parts = _start_up_parts(row.start_up)
        words = [f"{name}: {digits(part, 's')}" for name, part in parts.items()]
        lengths = tuple(part or 0.0 for part in parts.values())
        lanes.append(_lane(row, group, parts=lengths, value=digits(total_s, "s"), words=words))
    return lanes_figure(lanes, title=group.title, axis="seconds until the first picture is there")


def roofline_figure(group: Group) -> str:
    """Shares of the roofline, the nearest first, and the roof itself as a line."""
    lanes = []
    for row, share in _ranked(wording.roofline_share, group)[::-1]:
        bound = f"limit: {row.roofline.bound}" if row.roofline else ""
        note = row.roofline.note if row.roofline else ""
        words = [text for text in (f"{percent(share)} of the roof", bound, note) if text]
        lanes.append(_lane(row, group, parts=(share,), value=percent(share), words=words))
    axis = "share of the roofline; the line is the roof"
    return lanes_figure(lanes, title=group.title, axis=axis, line=1.0, is_share=True)


def training_figure(rows: Sequence[TrainingRow]) -> str:
    """Training throughput in each setting, the most first."""
    drawable = [row for row in rows if is_drawable(row.images_per_s)]
    lanes = [
        Lane(
            name=row.name,
            style=colour("eager" if row is rows[0] else "compile"),
            parts=(row.images_per_s,),
            value=digits(row.images_per_s),
            tooltip=f"{row.name}\n{wording.speedup(row.speedup)} {rows[0].name}, "
            f"{digits(row.steps_per_s)} steps/s",
        )
        for row in sorted(drawable, key=lambda row: -row.images_per_s)
    ]
    return lanes_figure(lanes, title="Training throughput", axis="images/s")


def latency_words(row: Row) -> list[str]:
    """What a tooltip tells of a row's calls."""
    timing = wording.main_timing(row)
    if timing is None:
        return []
    at = timing.statistics
    return [
        f"batch {row.batch_size}: p50 {digits(at.p50_ms)}, p90 {digits(at.p90_ms)}, "
        f"p99 {digits(at.p99_ms, 'ms')}",
        f"{digits(timing.images_per_s, 'images/s')}, {wording.speedup(row.speedup)} eager FP32",
    ]


def _lane(
    row: Row,
    group: Group,
    *,
    parts: tuple[float, ...] = (),
    whisker: tuple[float, ...] = (),
    marks: tuple[tuple[Shape, float], ...] = (),
    value: str = "",
    words: Sequence[str] = (),
) -> Lane:
    name = wording.name_among(row, group.rows)
    return Lane(
        name=name,
        style=colour(row.backend),
        parts=parts,
        whisker=whisker,
        marks=marks,
        value=value,
        tooltip="\n".join((name, *words)),
    )


def _ranked(figure: Callable[[Row], float | None], group: Group) -> list[tuple[Row, float]]:
    """The rows that have a figure, the least first."""
    return sorted(wording.drawable(figure, group.rows), key=lambda pair: pair[1])


def _baseline(pairs: Sequence[tuple[Row, float]]) -> float | None:
    """Eager FP32's figure."""
    return next((value for row, value in pairs if wording.is_baseline(row)), None)


def _whisker(row: Row, p50_ms: float) -> tuple[float, ...]:
    timing = wording.main_timing(row)
    found: Statistics | None = timing.statistics if timing else None
    places = (found.p90_ms, found.p99_ms) if found else ()
    return tuple(place for place in places if is_drawable(place) and place >= p50_ms)


def _medians(row: Row) -> dict[MeasuredPath, float]:
    timings = {path: row.timing(path) for path in wording.PATHS}
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
    names = ("build_s", "load_s", "first_call_s")
    parts = {name: getattr(start_up, name) for name in names}
    return {
        name.removesuffix("_s").replace("_", " "): part
        for name, part in parts.items()
        if part is None or is_drawable(part)
    }
