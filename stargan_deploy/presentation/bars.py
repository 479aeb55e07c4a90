"""Bar charts with one lane per candidate: a bar in parts, or marks along a line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from stargan_deploy.presentation.numbers import tick_texts

if TYPE_CHECKING:
    from stargan_deploy.presentation.drawing import Drawing

TOP, LANE, BOTTOM = 4, 22, 38
"""Space above the lanes, height of a lane, space below for the axis."""

MAX_NAME, MAX_VALUE = 154.0, 90.0
"""Greatest widths of the names and of the values."""

OPACITIES = (1.0, 0.25, 0.55)
"""Opacities of the parts of a bar, in order."""

LEAST = 1e-9
"""Least end of an axis, where all values are zero."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One lane of a chart."""

    name: str
    colour: str
    """Name of one of the page's colours."""
    parts: tuple[float, ...] = ()
    """Lengths of the bar's parts, one after the other; one for a plain bar."""
    whisker: tuple[float, ...] = ()
    """Places beyond the bar's end, the last of them the whisker's end."""
    marks: tuple[tuple[str, float], ...] = ()
    """Instead of a bar: shapes at their values."""
    value: str = ""
    """Text at the right edge."""
    tooltip: str = ""

    @property
    def end(self) -> float:
        """Greatest value that the lane shows."""
        return max(sum(self.parts), *self.whisker, *(value for _, value in self.marks), 0.0)


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Lanes from 0 to the right."""

    title: str
    axis: str
    """Quantity on the axis, with its unit."""
    bars: tuple[Bar, ...]
    """From the top."""
    line: float | None = None
    """Value at which a dashed line crosses all lanes."""
    limit: float | None = None
    """Where the axis ends; what lies beyond is cut. None shows everything."""
    is_share: bool = False
    """Whether values are shares, shown in percent."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.bars

    @property
    def high(self) -> float:
        """Where the axis ends."""
        high = max(*(bar.end for bar in self.bars), self.line or 0.0, LEAST)
        return min(high, self.limit) if self.limit else high

    def svg(self) -> Markup:
        """The chart as an SVG element."""
        from stargan_deploy.presentation.drawing import Drawing, round_steps, shortened, text_width

        names = [shortened(bar.name, MAX_NAME) for bar in self.bars]
        values = [shortened(bar.value, MAX_VALUE) for bar in self.bars]
        drawing = Drawing(
            TOP + LANE * len(self.bars) + BOTTOM,
            left=max(map(text_width, names)) + 8,
            right=max(1.15 * max(map(text_width, values)) + 12, 16),  # bold is wider
            top=TOP,
            bottom=BOTTOM,
        )
        axes, high = drawing.axes, self.high
        axes.set_xlim(0, high)
        axes.set_ylim(len(self.bars) - 0.5, -0.5)
        ticks = round_steps(0, high, 4)
        drawing.ticks("x", ticks, tick_texts(ticks, is_share=self.is_share))
        axes.set_yticks([])
        drawing.axes_names(self.axis)
        if self.line is not None:
            drawing.guide(self.line)
        for place, bar in enumerate(self.bars):
            drawing.label(names[place], (0, place), (-8, 0), "right")
            drawing.label(
                values[place],
                (1, place),
                (drawing.right, 0),
                "right",
                xycoords=("axes fraction", "data"),
                fontweight="bold",
            )
            _draw_bar(bar, place, drawing)
            _draw_marks(bar, place, drawing)
            drawing.band(place + 0.5, place - 0.5, bar.tooltip or bar.name, is_row=True)
        return drawing.svg(f"{self.title}: {self.axis}")


def _draw_bar(bar: Bar, row: int, drawing: "Drawing") -> None:
    end, high = 0.0, drawing.axes.get_xlim()[1]
    for part, opacity in zip(bar.parts, OPACITIES, strict=False):
        start, end = end, min(end + part, high)
        drawing.bar(row, start, end, bar.colour, opacity)
    if bar.whisker:
        drawing.line([end, bar.whisker[-1]], [row, row], bar.colour, lw=1.5)
    for place in bar.whisker:
        drawing.line([place, place], [row - 0.18, row + 0.18], bar.colour, lw=1.5)


def _draw_marks(bar: Bar, row: int, drawing: "Drawing") -> None:
    if bar.marks:
        ends = [find(value for _, value in bar.marks) for find in (min, max)]
        drawing.line(ends, [row, row], bar.colour, lw=2, alpha=0.45)
    for shape, value in bar.marks:
        drawing.mark(value, row, shape, bar.colour)
