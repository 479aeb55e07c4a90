"""Charts with a line for each backend: bars, bars in parts, and marks along a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from stargan_deploy.benchmarking.report.labelling import shortened, text_width
from stargan_deploy.benchmarking.report.palette import Shape, marker
from stargan_deploy.presentation.charts import svg_figure, tick_below, tick_texts, ticks
from stargan_deploy.presentation.page import escaped

WIDTH = 360
"""Of every chart, in its own units: a phone shows them at about their own size."""

TOP, LANE, BOTTOM = 4, 22, 38
"""Space above the lanes, height of a lane, space below for the axis."""

MAX_NAME = 154.0
"""Greatest width of the names."""
BOLD = 1.15
"""How much wider the values' letters are than the names'."""
LEAST = 1e-9
"""Least end of an axis, where all values are zero."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One line of a chart."""

    name: str
    style: str
    """Class that gives the colour."""
    parts: tuple[float, ...] = ()
    """Lengths of the bar's parts, one after the other; one for a plain bar."""
    whisker: tuple[float, ...] = ()
    """Places beyond the bar's end, the last of them the whisker's end."""
    marks: tuple[tuple[Shape, float], ...] = ()
    """Instead of a bar: marks at their values."""
    value: str = ""
    """Text at the right edge."""
    tooltip: str = ""

    @property
    def end(self) -> float:
        """The greatest value that the lane shows."""
        return max(sum(self.parts), *self.whisker, *(value for _, value in self.marks), 0.0)


def lanes_figure(
    lanes: Sequence[Lane],
    *,
    title: str,
    axis: str,
    line: float | None = None,
    limit: float | None = None,
    is_share: bool = False,
) -> str:
    """A chart of lanes from 0 to the right; empty text where there are none.

    Args:
        lanes: the lines of the chart, from the top.
        title: plain text above it.
        axis: what the axis measures, with its unit.
        line: a value at which an upright line is drawn through all lanes.
        limit: where the axis ends; what is beyond it is cut. None shows everything.
        is_share: whether values are shares, shown in percent.
    """
    if not lanes:
        return ""
    names = min(MAX_NAME, max(text_width(lane.name) for lane in lanes)) + 8
    values = BOLD * max(text_width(lane.value) for lane in lanes) + 12
    high = max(*(lane.end for lane in lanes), line or 0.0, LEAST)
    high = min(high, limit) if limit else high
    scale = _Scale(left=names, right=WIDTH - max(values, 16.0), high=high)
    bottom = TOP + LANE * len(lanes)
    parts = _axis(scale, bottom, axis, is_share)
    if line is not None:
        parts.append(f'<path class="reference" d="M{scale.x(line):.1f} {TOP}V{bottom}"/>')
    for index, lane in enumerate(lanes):
        parts += _lane(lane, scale, TOP + LANE * index + LANE / 2)
    heading = f"<strong>{escaped(title)}</strong>"
    label = f"{title}: {axis}"
    return svg_figure(parts, width=WIDTH, height=bottom + BOTTOM, heading=heading, label=label)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """From values to the drawing's units."""

    left: float
    right: float
    high: float

    def x(self, value: float) -> float:
        share = min(max(value / self.high, 0.0), 1.0)
        return self.left + share * (self.right - self.left)


def _axis(scale: _Scale, bottom: float, axis: str, is_share: bool) -> list[str]:
    marks = ticks(0.0, scale.high, 3)
    texts = [f"{mark:.0%}" for mark in marks] if is_share else tick_texts(marks)
    return [
        *(
            tick_below(scale.x(mark), text, top=TOP, bottom=bottom)
            for mark, text in zip(marks, texts, strict=True)
        ),
        f'<text class="axis" x="{WIDTH - 2}" y="{bottom + 30}" text-anchor="end">'
        f"{escaped(axis)}</text>",
    ]


def _lane(lane: Lane, scale: _Scale, y: float) -> list[str]:
    name = shortened(lane.name, MAX_NAME)
    return [
        f'<g class="mark {lane.style}"><title>{escaped(lane.tooltip or lane.name)}</title>',
        f'<rect class="reach" x="0" y="{y - LANE / 2:g}" width="{WIDTH}" height="{LANE}"/>',
        f'<text class="name" x="{scale.left - 8:.1f}" y="{y + 4:g}" text-anchor="end">'
        f"{escaped(name)}</text>",
        *_bar(lane, scale, y),
        *_whisker(lane, scale, y),
        *_marks(lane, scale, y),
        f'<text class="value" x="{WIDTH - 2}" y="{y + 4:g}" text-anchor="end">'
        f"{escaped(lane.value)}</text>",
        "</g>",
    ]


def _bar(lane: Lane, scale: _Scale, y: float) -> list[str]:
    drawn, start = [], 0.0
    for index, part in enumerate(lane.parts):
        left, right = scale.x(start), scale.x(start + part)
        drawn.append(
            f'<rect class="bar part{index}" x="{left:.1f}" y="{y - 6:g}" '
            f'width="{right - left:.1f}" height="12"/>'
        )
        start += part
    return drawn


def _whisker(lane: Lane, scale: _Scale, y: float) -> list[str]:
    """A line on from the bar's end, with an upright stroke at each of its places."""
    if not lane.whisker:
        return []
    start, end = scale.x(sum(lane.parts)), scale.x(lane.whisker[-1])
    strokes = "".join(f"M{scale.x(place):.1f} {y - 4:g}v8" for place in lane.whisker)
    return [f'<path class="whisker" d="M{start:.1f} {y:g}H{end:.1f}{strokes}"/>']


def _marks(lane: Lane, scale: _Scale, y: float) -> list[str]:
    if not lane.marks:
        return []
    places = [scale.x(value) for _, value in lane.marks]
    span = f'<path class="span" d="M{min(places):.1f} {y:g}H{max(places):.1f}"/>'
    return [span, *(marker(shape, scale.x(value), y) for shape, value in lane.marks)]
