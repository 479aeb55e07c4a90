"""Line charts over the steps of a training."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from stargan_deploy.presentation.numbers import digits, percent, tick_texts
from stargan_deploy.presentation.text import evenly

if TYPE_CHECKING:
    from stargan_deploy.presentation.drawing import Drawing

HEIGHT = 200
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 8, 24
"""Room around the plot."""

NUM_BANDS = 60
"""Places along a chart at which a tooltip shows the values."""
MAX_DOTTED = 20
"""Lines of at most so many points show them as dots."""
NUM_COLOURS = 8
MAX_NARROW = 10
"""Charts of more lines are wide, for their legends."""

STYLES: dict[str, dict[str, Any]] = {"strong": {"lw": 3.25}, "dashed": {"dashes": (3, 3)}}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart with its name in the legend."""

    name: str
    steps: Floats
    values: Floats
    """NaN makes a gap."""
    raw: tuple[Floats, Floats] | None = None
    """Steps and values drawn faintly below a smoothed line."""
    latest: float = math.nan
    """The last value, for the legend."""
    style: str = ""
    """"strong", "dashed", or plain."""

    def value_at(self, step: float) -> float:
        """The value at a step, or else at the next one."""
        place = min(int(np.searchsorted(self.steps, step)), len(self.steps) - 1)
        return float(self.values[place]) if len(self.steps) else np.nan


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Values over the steps, which start at 0."""

    title: str
    lines: tuple[Line, ...]
    last_step: float
    """Where the horizontal axis ends."""
    note: str = ""
    """A few words on how to read it."""
    bounds: tuple[float, float] | None = None
    """Values that the vertical axis reaches at least."""
    is_share: bool = False
    """Whether the values are shares, shown in percent."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.lines

    @property
    def is_wide(self) -> bool:
        """Whether the legend needs the page's whole width."""
        return len(self.lines) > MAX_NARROW

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Range of the vertical axis: all lines, and raw values without their outliers."""
        values = [line.values[np.isfinite(line.values)] for line in self.lines]
        raw = [line.raw[1][np.isfinite(line.raw[1])] for line in self.lines if line.raw]
        values += [np.percentile(kept, (1, 99)) for kept in raw if len(kept)]
        every = np.concatenate([*values, np.array(self.bounds or ())])
        if not len(every):
            return 0.0, 1.0
        low, high = float(every.min()), float(every.max())
        if high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < 1e-12:
            room = 0.1 * abs(low) if abs(low) > 1e-9 else 1.0
            return low - room, high + room
        room, bounds = 0.04 * (high - low), self.bounds or ()
        return low if low in bounds else low - room, high if high in bounds else high + room

    def svg(self) -> Markup:
        """The chart as an SVG element."""
        from matplotlib.ticker import EngFormatter

        from stargan_deploy.presentation.drawing import Drawing, round_steps

        drawing = Drawing(HEIGHT, left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM)
        last_step, (low, high) = max(self.last_step, 1.0), self.value_range
        drawing.axes.set_xlim(0, last_step)
        drawing.axes.set_ylim(low, high)
        ticks = round_steps(low, high, 6)
        drawing.ticks("y", ticks, tick_texts(ticks, is_share=self.is_share))
        steps = [step for step in round_steps(0, last_step, 6) if step == round(step)]
        drawing.ticks("x", steps, [EngFormatter(sep="")(step) for step in steps], visible=False)
        for index in reversed(range(len(self.lines))):  # the first, which matters most, lies on top
            self._add_line(self.lines[index], index, drawing)
        self._add_bands(drawing)
        return drawing.svg(f"{self.title} over the steps")

    def _add_line(self, line: Line, index: int, drawing: "Drawing") -> None:
        name = f"c{index % NUM_COLOURS}"
        is_dotted = len(line.steps) <= (1 if line.raw else MAX_DOTTED)
        look: dict[str, Any] = {"marker": "o" if is_dotted else "", "ms": 4.4}
        look["alpha"] = 0.6 if self.is_wide and not line.style else 1.0
        look |= STYLES.get(line.style, {})
        if line.raw:
            drawing.line(*line.raw, name, lw=1, alpha=0.28)
        drawing.line(line.steps, line.values, name, **{"lw": 1.75} | look)

    def _add_bands(self, drawing: "Drawing") -> None:
        """Adds upright strips that show the values there."""
        longest = max((line.steps for line in self.lines), key=len)
        steps = np.array(evenly(longest.tolist(), NUM_BANDS))
        edges = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]]).tolist()
        for step, low, high in zip(steps, edges, edges[1:], strict=False):
            drawing.band(low, high, self._tooltip(step))

    def in_words(self, value: float) -> str:
        """A value as the chart writes it."""
        return percent(value) if self.is_share else digits(value)

    def _tooltip(self, step: float) -> str:
        values = [f"{line.name} {self.in_words(line.value_at(step))}" for line in self.lines]
        return "\n".join((f"step {step:,.0f}", *values))
