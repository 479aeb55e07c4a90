"""Charts of points: lines with their names at the end, and marks with their names around them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from stargan_deploy.presentation.numbers import tick_texts

if TYPE_CHECKING:
    from stargan_deploy.presentation.drawing import Drawing

LEFT, TOP, BOTTOM = 44, 24, 36
"""Room around the plot; the vertical axis' name stands above it."""

LINE = 13.0
"""Height of a line of text."""

MAX_NAME = 138.0
"""Greatest width of a name."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One mark."""

    x: float
    y: float
    shape: str
    tooltip: str = ""


@dataclass(frozen=True, kw_only=True)
class Path:
    """Marks of one name, joined by a line."""

    name: str
    colour: str
    """Name of one of the page's colours."""
    points: tuple[Point, ...]
    """From left to right."""


@dataclass(frozen=True, kw_only=True)
class PointChart:
    """Paths over two axes, each with its name."""

    title: str
    x_axis: str
    y_axis: str
    paths: tuple[Path, ...]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_unit: str = ""
    x_names: Mapping[float, str] = field(default_factory=dict)
    """Places with their texts; none takes round numbers."""
    y_names: Mapping[float, str] = field(default_factory=dict)
    """Places with texts of their own, above the round numbers."""
    line: float | None = None
    """Value on the horizontal axis at which a dashed line stands."""
    is_log: bool = False
    """Whether the horizontal axis is logarithmic, and the names stand at the paths' ends."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.paths

    def svg(self) -> Markup:
        """The chart as an SVG element."""
        from stargan_deploy.presentation.drawing import Drawing, shortened, text_width

        names = [shortened(path.name, MAX_NAME) for path in self.paths]
        right = max(map(text_width, names)) + 18 if self.is_log else 8
        drawing = Drawing(self._height, left=LEFT, right=right, top=TOP, bottom=BOTTOM)
        if self.is_log:
            drawing.axes.set_xscale("log", base=2)
        drawing.axes.set_xlim(*self.x_range)
        drawing.axes.set_ylim(*self.y_range)
        self._add_ticks(drawing)
        if self.line is not None:
            drawing.guide(self.line)
        for path in self.paths:
            self._add_path(path, drawing)
        (self._name_ends if self.is_log else self._name_marks)(names, drawing)
        drawing.axes_names(self.x_axis, self.y_axis)
        return drawing.svg(f"{self.title}: {self.y_axis}, {self.x_axis}")

    @property
    def _height(self) -> float:
        """More where there are more names to find room for."""
        num = len(self.paths)
        return TOP + BOTTOM + (max(190.0, LINE * num) if self.is_log else min(190.0 + 8 * num, 360))

    def _add_ticks(self, drawing: "Drawing") -> None:
        from stargan_deploy.presentation.drawing import round_steps

        marks = round_steps(*self.y_range, 5)
        marks = [mark for mark in marks if mark < min(self.y_names, default=math.inf) - 5]
        drawing.ticks("y", [*marks, *self.y_names], [*tick_texts(marks), *self.y_names.values()])
        steps = round_steps(*self.x_range, 6)
        texts = [f"{text}{self.x_unit}" for text in tick_texts(steps)]
        names = self.x_names or dict(zip(steps, texts, strict=True))
        drawing.ticks("x", [*names], [*names.values()])

    def _add_path(self, path: Path, drawing: "Drawing") -> None:
        if len(path.points) > 1:
            xs, ys = [point.x for point in path.points], [point.y for point in path.points]
            drawing.line(xs, ys, path.colour, tip=path.name, lw=2)
        for point in path.points:
            drawing.mark(point.x, point.y, point.shape, path.colour, point.tooltip)

    def _name_ends(self, names: Sequence[str], drawing: "Drawing") -> None:
        """Writes the paths' names to the right of their ends."""
        axes, low, high = drawing.axes, *self.y_range
        edge = (axes.transAxes + axes.transData.inverted()).transform(
            (1 + 12 / axes.bbox.width, 0)
        )[0]
        ends = [path.points[-1] for path in self.paths]
        gap = LINE * (high - low) / axes.bbox.height
        heights = spread([end.y for end in ends], gap, self.y_range)
        for path, end, name, at in zip(self.paths, ends, names, heights, strict=True):
            leader = ([end.x, edge], [end.y, at])
            drawing.line(*leader, path.colour, lw=1, alpha=0.45, clip_on=False)
            drawing.label(name, (edge, at), (3, 0), "left")

    def _name_marks(self, names: Sequence[str], drawing: "Drawing") -> None:
        """Writes a name near each mark, so that it overlaps neither marks nor other names."""
        paths = zip(self.paths, names, strict=True)
        named = sorted(paths, key=lambda pair: -pair[0].points[0].x)  # room is free on the right
        drawing.name_places(
            [(path.points[0].x, path.points[0].y) for path, _ in named],
            [name for _, name in named],
            [path.colour for path, _ in named],
        )


def spread(places: Sequence[float], gap: float, edges: tuple[float, float]) -> list[float]:
    """Places nearby that are a gap apart, in the same order, between the edges if they fit."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = [0.0] * len(places)
    edge = edges[0]
    for index in order:
        moved[index] = edge = max(edge, places[index])
        edge += gap
    edge = max(edges[1], edges[0] + gap * (len(places) - 1))
    for index in reversed(order):
        moved[index] = edge = min(edge, moved[index])
        edge -= gap
    return moved
