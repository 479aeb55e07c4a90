"""SVG elements of a matplotlib figure, which take colours and font from the page around them.

matplotlib's own SVG writer fixes colours and fonts, and puts identifiers and a style sheet into the
file that would reach other drawings of the page. So this renderer of its documented interface
writes the elements.
"""

# ruff: noqa: ARG002, D102, PLR0917 - the methods are matplotlib's

from typing import Any

from markupsafe import Markup
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_hex
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextToPath
from matplotlib.transforms import Affine2D, Transform

from stargan_deploy.presentation.text import single_spaced

_COLOURS = ("text", "soft", "line", "card", *(f"{kind}{i}" for kind in "bc" for i in range(16)))
"""Colours of the page: backends have `b0` and so on, curves `c0` and so on. matplotlib draws with
numbers that stand for them."""

_ANCHORS = {"left": ("start", 0.0), "center": ("middle", 0.5), "right": ("end", 1.0)}
"""SVG's word for where a text's place is, and how much of the text lies before it."""

_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


def colour(name: str) -> str:
    """The number by which matplotlib knows the page's colour `--name`."""
    return f"#{_COLOURS.index(name) + 1:06x}"


def measurable(text: str) -> str:
    """A text about as wide, of letters that every font has."""
    return "".join(letter if letter.isascii() else "W" for letter in single_spaced(text))


def measured(text: str, font: FontProperties) -> tuple[float, float, float]:
    """Width, height and descent of a text."""
    width, height, descent = TextToPath().get_text_width_height_descent(
        measurable(text), font, ismath=False
    )
    return float(width), float(height), float(descent)


class SvgRenderer(RendererBase):
    """Writes SVG elements with the page's colours and without identifiers."""

    def __init__(self, width: float, height: float, tips: dict[str, tuple[str, str]]) -> None:
        super().__init__()
        self.parts: list[Markup] = []
        self._size, self._tips = (width, height), tips
        self._flip = Affine2D().scale(1, -1).translate(0, height)
        self._is_tip: list[bool] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._size

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        return measured(s, prop)

    def open_group(self, s: str, gid: str | None = None) -> None:
        if gid is not None:
            style, tip = self._tips[gid]
            lines = "\n".join(map(single_spaced, tip.split("\n")))
            self.parts.append(Markup('<g class="{}"><title>{}</title>').format(style, lines))
        self._is_tip.append(gid is not None)

    def close_group(self, s: str) -> None:
        if self._is_tip.pop():
            self.parts.append(Markup("</g>"))

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: Any = None
    ) -> None:
        place = transform + self._flip
        clip = gc.get_clip_rectangle()
        edges = None
        if clip is not None and rgbFace is None:
            clip = clip.transformed(self._flip)
            edges = (clip.xmin, clip.ymin, clip.xmax, clip.ymax)
        words = [
            _LETTERS[code] + " ".join(f"{round(number, 1):g}" for number in points.tolist())
            if code in _LETTERS
            else "Z"
            for points, code in path.iter_segments(place, clip=edges)
        ]
        style = f"fill:{_fill(rgbFace, gc)};stroke:none"
        if gc.get_linewidth() and gc.get_rgb()[3]:
            style = f"fill:{_fill(rgbFace, gc)};{_stroke(gc)}"
        if words:
            self.parts.append(Markup('<path d="{}" style="{}"/>').format("".join(words), style))

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        anchor, share = _ANCHORS[mtext.get_horizontalalignment() if mtext else "left"]
        x += share * measured(s, prop)[0]
        bold = ";font-weight:600" if prop.get_weight() == "bold" else ""
        style = f"fill:{_page_colour(gc.get_rgb())};font-size:{prop.get_size():g}px{bold}"
        element = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" style="{}">{}</text>')
        self.parts.append(element.format(x, y, anchor, style, s))


def _fill(face: Any, gc: GraphicsContextBase) -> str:
    if face is None or face[3] == 0:
        return "none"
    alpha = gc.get_alpha() if gc.get_forced_alpha() else face[3]
    return _page_colour(face) + (f";fill-opacity:{alpha:g}" if alpha != 1 else "")


def _stroke(gc: GraphicsContextBase) -> str:
    alpha = gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
    dashes: Any = gc.get_dashes()[1]
    return (
        f"stroke:{_page_colour(gc.get_rgb())};stroke-width:{gc.get_linewidth():g}"
        + (f";stroke-opacity:{alpha:g}" if alpha != 1 else "")
        + (f";stroke-dasharray:{' '.join(map(str, dashes))}" if dashes else "")
    )


def _page_colour(rgb: Any) -> str:
    number = str(to_hex(rgb))
    return f"var(--{_COLOURS[int(number[1:], 16) - 1]})"
