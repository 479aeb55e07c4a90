"""The charts with two axes: throughput over batch size, and speed against picture error.

A figure of rows that hold nothing to show is empty text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.bars import LEAST, WIDTH
from stargan_deploy.benchmarking.report.charts import latency_words
from stargan_deploy.benchmarking.report.format import EQUAL_PSNR_DB, Group, digits, is_drawable
from stargan_deploy.benchmarking.report.labelling import (
    LINE,
    Box,
    place_labels,
    shortened,
    spread,
    text_width,
)
from stargan_deploy.benchmarking.report.palette import colour, marker, shape
from stargan_deploy.benchmarking.results import Row
from stargan_deploy.presentation.charts import (
    svg_figure,
    tick_across,
    tick_below,
    tick_texts,
    ticks,
)
from stargan_deploy.presentation.page import escaped

LEFT, TOP = 44, 24
"""Edges of the plot; the vertical axis' name stands above it."""

AXIS_ROOM = 36
"""Below the plot, for the ticks and the horizontal axis' name."""

MAX_LABEL = 138.0
"""Greatest width of a label."""

LEAST_PSNR_DB = 30.0
"""Lower end of the axis of picture errors, unless a row is worse."""


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """The plot's edges and what its axes reach, from 0 or a lowest value."""

    right: float
    bottom: float
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (self.right - LEFT)

    def y(self, value: float) -> float:
        share = (value - self.low_y) / (self.high_y - self.low_y)
        return self.bottom - share * (self.bottom - TOP)


def throughput_figure(group: Group) -> str:
    """Images/s over the batch size, a line for each backend and precision.

    Args:
        group: rows of all batch sizes.
    """
    lines = _lines(group.rows)
    points = [pair for line in lines.values() for pair in line]
    if not points:
        return ""
    batches = sorted({row.batch_size for row, _ in points})
    room = min(MAX_LABEL, max(text_width(name) for name in lines))
    frame = _Frame(
        right=WIDTH - room - 18,
        bottom=TOP + max(190.0, LINE * len(lines)),
        low_x=math.log2(batches[0]) - 0.2,
        high_x=math.log2(batches[-1]) + 0.2,
        low_y=0.0,
        high_y=max(1.05 * max(speed for _, speed in points), LEAST),
    )
    marks = ticks(0.0, frame.high_y, 4)
    parts = _axes_names(frame, "images/s", "images in a batch")
    parts += _rows(frame, dict(zip(marks, tick_texts(marks), strict=True)))
    parts += _columns(frame, {math.log2(batch): f"{batch}" for batch in batches})
    ends = [frame.y(line[-1][1]) for line in lines.values()]
    heights = spread(ends, TOP, frame.bottom)
    for (name, line), height in zip(lines.items(), heights, strict=True):
        parts += _line(name, line, frame, height)
    return _figure(parts, frame, group.title, "images/s over the batch size")


def quality_figure(group: Group) -> str:
    """Speed-up over eager FP32 against PSNR: up and to the right is better."""
    points = _points(group.rows)
    if not points:
        return ""
    low_db = min(LEAST_PSNR_DB, *(psnr_db - 4 for _, _, psnr_db in points))
    frame = _Frame(
        right=WIDTH - 8,
        bottom=TOP + min(190.0 + 8 * len(points), 360.0),
        low_x=0.0,
        high_x=1.12 * max(1.0, *(speed for _, speed, _ in points)),
        low_y=low_db,
        high_y=EQUAL_PSNR_DB + 5,
    )
    steps = [mark for mark in ticks(low_db, 95.0, 4) if mark < 95]
    rows = dict(zip(steps, tick_texts(steps), strict=True)) | {EQUAL_PSNR_DB: "equal"}
    marks = ticks(0.0, frame.high_x, 5)
    texts = [f"{text}x" for text in tick_texts(marks)]
    parts = _axes_names(frame, "PSNR of the worst picture, dB", "speed-up over eager FP32")
    parts += _rows(frame, rows) + _columns(frame, dict(zip(marks, texts, strict=True)))
    parts.append(f'<path class="reference" d="M{frame.x(1):.1f} {TOP}V{frame.bottom:g}"/>')
    parts += _labelled(points, group, frame)
    return _figure(parts, frame, group.title, "speed-up against PSNR")


def _lines(rows: Sequence[Row]) -> dict[str, list[tuple[Row, float]]]:
    """The points of each line by its name, in the order of batch sizes."""
    found: dict[str, list[tuple[Row, float]]] = {}
    pairs = wording.drawable(wording.images_per_s, rows)
    for row, speed in sorted(pairs, key=lambda pair: pair[0].batch_size):
        if row.batch_size > 0:
            found.setdefault(wording.name_among(row, rows), []).append((row, speed))
    return found


def _line(name: str, pairs: Sequence[tuple[Row, float]], frame: _Frame, height: float) -> list[str]:
    """A line with a mark for each batch size, and its name at the right end."""
    places = [(frame.x(math.log2(row.batch_size)), frame.y(speed)) for row, speed in pairs]
    text = escaped(shortened(name, MAX_LABEL))
    (x, y), end = places[-1], frame.right + 12
    parts = [
        f'<g class="mark {colour(pairs[0][0].backend)}"><title>{escaped(name)}</title>',
        f'<path class="line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>',
        f'<path class="leader" d="M{x + 5:.1f} {y:.1f}L{end:.1f} {height:.1f}"/>',
        f'<text class="name" x="{end + 3:.1f}" y="{height + 4:.1f}">{text}</text>',
    ]
    for (row, _), place in zip(pairs, places, strict=True):
        words = "\n".join((name, *latency_words(row)))
        parts.append(f"<g><title>{escaped(words)}</title>{marker(shape(row), *place)}</g>")
    return [*parts, "</g>"]


def _points(rows: Sequence[Row]) -> list[tuple[Row, float, float]]:
    """Rows with their speed-up and PSNR; eager FP32 has the pictures that others are held to."""
    found = []
    for row in rows:
        is_baseline = wording.is_baseline(row)
        error = row.picture_error
        psnr_db = error.psnr_db if error else EQUAL_PSNR_DB if is_baseline else math.nan
        speed = 1.0 if is_baseline else row.speedup
        psnr_db = min(psnr_db, EQUAL_PSNR_DB)
        if speed is not None and is_drawable(speed) and is_drawable(psnr_db):
            found.append((row, speed, psnr_db))
    return found


def _labelled(points: Sequence[tuple[Row, float, float]], group: Group, frame: _Frame) -> list[str]:
    """The marks with labels that overlap neither each other nor a mark."""
    names = [wording.name_among(row, group.rows) for row, _, _ in points]
    texts = [shortened(name, MAX_LABEL) for name in names]
    places = [(frame.x(speed), frame.y(psnr_db)) for _, speed, psnr_db in points]
    inside = Box(left=LEFT + 2, top=TOP, right=frame.right, bottom=frame.bottom - 2)
    parts = []
    boxes = place_labels(places, texts, inside)
    for (row, speed, _), name, text, place, box in zip(
        points, names, texts, places, boxes, strict=True
    ):
        words = f"{name}\n{digits(speed)}x eager FP32, PSNR {wording.psnr(row)} dB"
        parts += [
            f'<g class="mark {colour(row.backend)}"><title>{escaped(words)}</title>',
            marker(shape(row), *place),
            _label(text, place, box) if box else "",
            "</g>",
        ]
    return parts


def _label(text: str, place: tuple[float, float], box: Box) -> str:
    """A label in its box, with a line to its mark where that is not beside it."""
    x, y = box.nearest(*place)
    leader = ""
    if math.dist((x, y), place) > 12:
        leader = f'<path class="leader" d="M{place[0]:.1f} {place[1]:.1f}L{x:.1f} {y:.1f}"/>'
    middle = (box.left + box.right) / 2
    anchor, at = "middle", middle
    if box.left > place[0]:
        anchor, at = "start", box.left
    elif box.right < place[0]:
        anchor, at = "end", box.right
    return (
        f'{leader}<text class="name" x="{at:.1f}" y="{box.bottom - 3:.1f}" '
        f'text-anchor="{anchor}">{escaped(text)}</text>'
    )


def _rows(frame: _Frame, marks: dict[float, str]) -> list[str]:
    return [
        tick_across(frame.y(value), text, left=LEFT, right=frame.right)
        for value, text in marks.items()
    ]


def _columns(frame: _Frame, marks: dict[float, str]) -> list[str]:
    return [
        tick_below(frame.x(value), text, top=TOP, bottom=frame.bottom)
        for value, text in marks.items()
    ]


def _axes_names(frame: _Frame, vertical: str, horizontal: str) -> list[str]:
    return [
        f'<text class="axis" x="2" y="10">{escaped(vertical)}</text>',
        f'<text class="axis" x="{frame.right:.1f}" y="{frame.bottom + 30:g}" '
        f'text-anchor="end">{escaped(horizontal)}</text>',
    ]


def _figure(parts: Sequence[str], frame: _Frame, title: str, label: str) -> str:
    return svg_figure(
        parts,
        width=WIDTH,
        height=math.ceil(frame.bottom + AXIS_ROOM),
        heading=f"<strong>{escaped(title)}</strong>",
        label=f"{title}: {label}",
    )
