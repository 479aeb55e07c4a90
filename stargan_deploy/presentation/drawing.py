"""Charts laid out by matplotlib in the page's style.

Nothing here uses pyplot or changes matplotlib's settings, so charts can be drawn in any thread and
inside a program that has settings of its own. Lengths are in SVG's units; the page scales a drawing
to its column.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from stargan_deploy.presentation.renderer import SvgRenderer, colour, measurable, measured
from stargan_deploy.presentation.text import single_spaced

Places = Sequence[tuple[float, float]]
Floats = Sequence[float] | npt.NDArray[np.float64]

WIDTH = 360
"""Width of every chart: a phone shows them at about their own size."""

FONT_SIZE, AXIS_FONT_SIZE = 11.0, 10.5

DIRECTIONS = ("east", "west", "north", "south", "northeast", "northwest", "southeast", "southwest")
"""Where the name of a mark stands, the places that read best first."""

PLACING: dict[str, Any] = {"direction": list(DIRECTIONS), "parse_math": False} | {
    **{"margin": 0.004, "min_distance": 0.023, "max_distance": 0.3, "plot_kwargs": {"alpha": 0.45}},
    **{"avoid_label_lines_overlap": True, "avoid_crossing_label_lines": True},
}
"""Settings for placing names; distances are fractions of the plot's sides."""

MARKERS = {
    "circle": ("o", 8.0),
    "square": ("s", 7.2),
    "triangle": ("^", 9.2),
    "diamond": ("D", 7.4),
}
"""matplotlib's name and the size of each shape; a ring is a larger circle without filling."""


def round_steps(low: float, high: float, most: int) -> list[float]:
    """At most so many round intervals' edges that lie in [low, high]; low < high."""
    steps = map(float, MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high))
    room = 1e-9 * (high - low)
    return [step for step in steps if low - room <= step <= high + room]


def text_width(text: str) -> float:
    """Width of a text in DejaVu Sans, which is wider than the font of most pages."""
    return measured(text, FontProperties(size=FONT_SIZE))[0]


def shortened(text: str, width: float) -> str:
    """A text on one line that fits a width, with an ellipsis where something is left out."""
    text = single_spaced(text)
    lengths = range(min(len(text), int(width / 3)) - 1, 0, -1)
    cuts = (f"{text[:length].rstrip()}\N{HORIZONTAL ELLIPSIS}" for length in lengths)
    if text_width(text[: int(width)]) <= width:
        return text
    return next((cut for cut in cuts if text_width(cut) <= width), "\N{HORIZONTAL ELLIPSIS}")


class Drawing:
    """A chart in the making: axes in the page's style, and what a pointer shows."""

    def __init__(
        self, height: float, *, left: float, right: float, top: float, bottom: float
    ) -> None:
        """Makes empty axes in a drawing of a height, with room for texts on each side."""
        self.figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72, frameon=False)
        x, y = left / WIDTH, bottom / height
        self.axes: Axes = self.figure.add_axes(
            (x, y, 1 - x - right / WIDTH, 1 - y - top / height), frameon=False
        )
        self.axes.set_axisbelow(True)
        self.left, self.right = left, right
        self._tips: dict[str, tuple[str, str]] = {}

    def line(self, xs: Floats, ys: Floats, name: str, *, tip: str = "", **look: Any) -> None:
        """Draws a line in one of the page's colours; NaN makes a gap."""
        self._add(Line2D(xs, ys, color=colour(name), **look), tip, "path")

    def guide(self, x: float) -> None:
        """Draws a dashed line from top to bottom."""
        self.line([x, x], self.axes.get_ylim(), "soft", lw=1.5, dashes=(3, 3))

    def bar(self, row: int, start: float, end: float, name: str, opacity: float) -> None:
        """Draws a part of a bar."""
        self._add(Rectangle((start, row - 0.27), end - start, 0.54, fc=colour(name), alpha=opacity))

    def mark(self, x: float, y: float, shape: str, name: str, tip: str = "") -> None:
        """Draws a mark in one of the page's colours."""
        ink = colour(name)
        marker, size = MARKERS.get(shape, ("o", 11.2))
        face, edge, width = (ink, colour("card"), 1.0) if shape in MARKERS else ("none", ink, 1.5)
        look: dict[str, Any] = {"mfc": face, "mec": edge, "mew": width, "ms": size, "ls": "none"}
        self._add(Line2D([x], [y], marker=marker, clip_on=False, zorder=4, **look), tip, "mark")

    def band(self, low: float, high: float, tip: str, *, is_row: bool = False) -> None:
        """Shows a text while the pointer is in a part of the drawing, upright or across."""
        if is_row:
            ends = -self.left / self.axes.bbox.width, 1 + self.right / self.axes.bbox.width
            box = Rectangle((ends[0], low), ends[1] - ends[0], high - low)
            box.set_transform(self.axes.get_yaxis_transform())
        else:
            least = (self.axes.get_xlim()[1] - self.axes.get_xlim()[0]) / self.axes.bbox.width
            box = Rectangle((low, 0), max(high - low, least), 1)
            box.set_transform(self.axes.get_xaxis_transform())
        box.set(fc=colour("soft"), zorder=5)
        self._add(box, tip, "band")

    def _add(self, artist: Artist, tip: str = "", style: str = "") -> None:
        """Adds an artist, which shows a text while the pointer is on it."""
        if tip:
            artist.set_gid(f"{len(self._tips)}")
            self._tips[f"{len(self._tips)}"] = (style, tip)
        self.axes.add_artist(artist)

    def ticks(
        self, axis: Literal["x", "y"], places: Sequence[float], texts: Sequence[str], **grid: Any
    ) -> None:
        """Writes texts along an axis, with grid lines unless they are not wanted."""
        low, high = self.axes.get_xlim() if axis == "x" else self.axes.get_ylim()
        lines = self.axes.xaxis if axis == "x" else self.axes.yaxis
        lines.set_ticks(places, texts)
        lines.set_ticks([], minor=True)
        lines.set_view_interval(low, high, ignore=True)
        look: dict[str, Any] = {"labelsize": FONT_SIZE, "labelcolor": colour("soft"), "length": 0}
        look |= {"grid_color": colour("line"), "grid_linewidth": 1, "pad": 6}
        lines.set_tick_params(**look)
        lines.grid(**{"visible": True} | grid)

    def axes_names(self, horizontal: str, upright: str = "") -> None:
        """Writes what the axes measure: below at the right, and above at the left."""
        look: dict[str, Any] = {"color": colour("soft"), "fontsize": AXIS_FONT_SIZE}
        self.label(horizontal, (1, 0), (0, -28), "right", xycoords="axes fraction", **look)
        self.label(upright, (0, 1), (2 - self.left, 14), "left", xycoords="axes fraction", **look)

    def label(
        self, text: str, xy: tuple[float, float], shift: tuple[float, float], side: str, **look: Any
    ) -> Text:
        """Writes a text near a place, shifted by so much."""
        style: dict[str, Any] = {"color": colour("text"), "fontsize": FONT_SIZE} | look
        style |= {"ha": side, "va": "center_baseline", "textcoords": "offset points"}
        style |= {"annotation_clip": False, "parse_math": False}
        return self.axes.annotate(single_spaced(text), xy, shift, **style)

    def name_places(self, places: Places, names: Sequence[str], colours: Sequence[str]) -> None:
        """Writes a name near each place, on no other name or place, with a line where it is far."""
        from textalloc import allocate

        xs, ys = (list(numbers) for numbers in zip(*places, strict=True))
        ink, inks = colour("text"), [colour(name) for name in colours]
        look: dict[str, Any] = {"x_scatter": xs, "y_scatter": ys, "textsize": FONT_SIZE} | PLACING
        look |= {"scatter_sizes": [4.0] * len(xs), "textcolor": ink, "linecolor": inks}
        _, _, texts, _ = allocate(self.axes, xs, ys, [measurable(name) for name in names], **look)
        for text, name in zip(texts, names, strict=True):
            cast(Text, text).set_text(single_spaced(name))

    def svg(self, label: str) -> Markup:
        """The drawing as an SVG element.

        Args:
            label: plain text for those who cannot see it.
        """
        width, height = (self.figure.get_size_inches() * 72).tolist()
        renderer = SvgRenderer(width, height, self._tips)
        self.figure.draw(renderer)
        view = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">\n').format(
            width, height, single_spaced(label)
        )
        return view + Markup("\n").join(renderer.parts) + Markup("\n</svg>")
