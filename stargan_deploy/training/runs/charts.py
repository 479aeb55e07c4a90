"""Line charts of metrics as SVG inside HTML, which need no script and no network.

Colours, line widths and dashes come from the page's style sheet, by the classes used here, so
that they follow its light and dark mode.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stargan_deploy.presentation.charts import (
    format_value,
    svg_figure,
    tick_across,
    tick_below,
    tick_texts,
    ticks,
)
from stargan_deploy.presentation.page import escaped
from stargan_deploy.presentation.text import evenly
from stargan_deploy.training.metrics import Curve

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 352, 8, 176
"""Edges of the plot in the drawing's own units."""

MAX_POINTS = 500
NUM_BANDS = 60
"""Places along a chart at which a tooltip tells the values."""
MAX_DOTTED = 20
"""Unsmoothed curves of at most so many points show them as dots."""
NUM_COLOURS = 8
MAX_NARROW = 10
"""Charts of more series are wide, for their legends."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart with its name in the legend."""

    name: str
    curve: Curve
    style: str = ""
    """Further class of the line: "strong" or "dashed"."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What one chart shows."""

    title: str
    series: tuple[Series, ...]
    note: str = ""
    """A few words on how to read it."""
    bounds: tuple[float, float] | None = None
    """Values that the vertical axis reaches at least."""
    is_share: bool = False
    """Whether the values are shares, shown in percent."""
    is_smoothed: bool = False
    """Whether a moving average is drawn over faint raw values."""


@dataclass(frozen=True, kw_only=True)
class _Scales:
    """From steps and values to the drawing's units."""

    last_step: float
    low: float
    high: float

    def x(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return LEFT + steps / self.last_step * (RIGHT - LEFT)

    def y(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Far outside the plot the place is cut, because renderers stumble over huge numbers."""
        share = (values - self.low) / (self.high - self.low)
        return (BOTTOM - share * (BOTTOM - TOP)).clip(-HEIGHT, 2 * HEIGHT)


def chart_figure(chart: Chart, last_step: float) -> str:
    """One chart as an HTML figure.

    Args:
        chart: what to show.
        last_step: where the horizontal axis ends; it starts at 0.
    """
    shown = [series.curve.smoothed(MAX_POINTS) for series in chart.series]
    if not chart.is_smoothed:
        shown = [series.curve.thinned(MAX_POINTS) for series in chart.series]
    low, high = _value_range(chart, shown)
    scales = _Scales(last_step=max(last_step, 1.0), low=low, high=high)
    parts = [*_axes(scales, chart.is_share), *_lines(chart, shown, scales)]
    parts += _bands(chart, shown, scales)
    return svg_figure(
        parts,
        width=WIDTH,
        height=HEIGHT,
        heading=_heading(chart),
        label=f"{chart.title} over the steps",
        style="wide" if len(chart.series) > MAX_NARROW else "",
    )


def _heading(chart: Chart) -> str:
    """The title with the latest value, or with a legend of the latest values."""
    title = escaped(chart.title)
    if len(chart.series) == 1:
        latest = format_value(chart.series[0].curve.latest, is_share=chart.is_share)
        return f"<strong>{title}</strong><b>{latest}</b>"
    note = f'<span class="note">{escaped(chart.note)}</span>' if chart.note else ""
    items = []
    for index, series in enumerate(chart.series):
        latest = format_value(series.curve.latest, is_share=chart.is_share)
        key = f'<i class="{_line_class(index, series)}"></i>'
        items.append(f"<li>{key}{escaped(series.name)} <b>{latest}</b></li>")
    return f'<strong>{title}</strong>{note}<ul class="legend">{"".join(items)}</ul>'


def _value_range(chart: Chart, shown: Sequence[Curve]) -> tuple[float, float]:
    """All that is drawn, but of smoothed curves the raw values without their outliers."""
    values = [curve.values[np.isfinite(curve.values)] for curve in shown]
    if chart.is_smoothed:
        raw = [series.curve.values for series in chart.series]
        values += [np.percentile(r[np.isfinite(r)], (1, 99)) for r in raw if np.isfinite(r).any()]
    every = np.concatenate([*values, np.array(chart.bounds or ())])
    if not len(every):
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < 1e-12:
        room = 0.1 * abs(low) if abs(low) > 1e-9 else 1.0
        return low - room, high + room
    room = 0.04 * (high - low)
    bounds = chart.bounds or ()
    return low if low in bounds else low - room, high if high in bounds else high + room


def _axes(scales: _Scales, is_share: bool) -> list[str]:
    marks = ticks(scales.low, scales.high, 4)
    texts = [f"{mark:.0%}" for mark in marks] if is_share else tick_texts(marks)
    heights = scales.y(np.array(marks)).tolist()
    parts = [
        tick_across(y, text, left=LEFT, right=RIGHT) for y, text in zip(heights, texts, strict=True)
    ]
    marks = [mark for mark in ticks(0, scales.last_step, 5) if mark == round(mark)]
    for step, x in zip(marks, scales.x(np.array(marks)).tolist(), strict=True):
        anchor = "end" if x > RIGHT - 12 else "middle"
        parts.append(tick_below(x, _short(step), top=BOTTOM, bottom=BOTTOM + 4, anchor=anchor))
    return parts


def _lines(chart: Chart, shown: Sequence[Curve], scales: _Scales) -> list[str]:
    parts = [
        f'<svg x="{LEFT}" y="0" width="{RIGHT - LEFT}" height="{BOTTOM + 1}" '
        f'viewBox="{LEFT} 0 {RIGHT - LEFT} {BOTTOM + 1}">'
    ]  # cuts what leaves the plot
    if chart.is_smoothed:
        for index, series in enumerate(chart.series):
            raw = series.curve.thinned(MAX_POINTS)
            parts.append(f'<path class="raw c{index % NUM_COLOURS}" d="{_path(raw, scales)}"/>')
    for index in reversed(range(len(shown))):  # the first, which matters most, lies on top
        series, curve = chart.series[index], shown[index]
        look = _line_class(index, series)
        parts.append(
            f'<path class="{look}" d="{_path(curve, scales)}">'
            f"<title>{escaped(series.name)}</title></path>"
        )
        if len(curve.steps) <= (1 if chart.is_smoothed else MAX_DOTTED):
            parts += [
                f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>'
                for x, y in _places(curve, scales)
                if math.isfinite(y)
            ]
    return [*parts, "</svg>"]


def _bands(chart: Chart, shown: Sequence[Curve], scales: _Scales) -> Iterable[str]:
    """Upright strips, each with a line to see and a tooltip of the values there."""
    longest = max((curve.steps for curve in shown), key=len)
    steps = np.array(evenly(longest.tolist(), NUM_BANDS))
    x = scales.x(steps)
    edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
    for index, step in enumerate(steps):
        left, right = edges[index], max(edges[index + 1], edges[index] + 1)
        yield (
            f'<g class="band"><rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
            f'height="{BOTTOM - TOP}"/><path d="M{x[index]:.1f} {TOP}V{BOTTOM}"/>'
            f"<title>{_tooltip(chart, shown, step)}</title></g>"
        )


def _tooltip(chart: Chart, shown: Sequence[Curve], step: float) -> str:
    lines = [f"step {step:,.0f}"]
    for series, curve in zip(chart.series, shown, strict=True):
        if len(curve.steps):
            place = min(int(np.searchsorted(curve.steps, step)), len(curve.steps) - 1)
            value = format_value(float(curve.values[place]), is_share=chart.is_share)
            lines.append(f"{escaped(series.name)}  {value}")
    return "\n".join(lines)


def _path(curve: Curve, scales: _Scales) -> str:
    """The line through all finite points, interrupted where a value is not finite."""
    words, pen = [], "M"
    for x, y in _places(curve, scales):
        if math.isfinite(y):
            words.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L" if math.isfinite(y) else "M"
    return "".join(words)


def _places(curve: Curve, scales: _Scales) -> Iterable[tuple[float, float]]:
    return zip(scales.x(curve.steps).tolist(), scales.y(curve.values).tolist(), strict=True)


def _line_class(index: int, series: Series) -> str:
    return f"line c{index % NUM_COLOURS} {series.style}".strip()


def _short(step: float) -> str:
    """A step as an axis has room for it: 500, 1.5k, 200k, 1M."""
    if step >= 1e6:
        return f"{step / 1e6:g}M"
    return f"{step / 1e3:g}k" if step >= 1e3 else f"{step:g}"
