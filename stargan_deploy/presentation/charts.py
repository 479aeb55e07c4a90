"""What every chart is made of: numbers in words, axes, the figure around a drawing.

Charts are SVG inside HTML, which need no script and no network. Their colours and line widths come
from the page's style sheet (`page.css`), by class, so that they follow its light and dark mode.
"""

import math
from collections.abc import Sequence

from stargan_deploy.presentation.page import NOTHING, escaped

MAX_TICK_LENGTH = 8


def format_value(value: float, *, is_share: bool = False) -> str:
    """A number as a reader wants it: three digits, or percent."""
    if not math.isfinite(value):
        return NOTHING
    if is_share:
        return f"{100 * value:.0f}%"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def ticks(low: float, high: float, count: int) -> list[float]:
    """About so many round numbers in [low, high]; low < high."""
    magnitude = 10.0 ** math.floor(math.log10((high - low) / count))
    steps = [multiple * magnitude for multiple in (1, 2, 5, 10)]
    step = min(steps, key=lambda step: abs((high - low) / step - count))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A value with as many digits as tell it from its neighbours on the axis."""
    digits = max(0, -math.floor(math.log10(step) + 1e-6))
    text = f"{value:,.{digits}f}"
    return text if len(text) <= MAX_TICK_LENGTH else f"{value:.3g}"


def tick_texts(marks: Sequence[float]) -> list[str]:
    """The texts of an axis' ticks, which are evenly spaced."""
    step = marks[1] - marks[0] if len(marks) > 1 else abs(marks[0]) or 1.0
    return [tick_text(mark, step) for mark in marks]


def tick_across(y: float, text: str, *, left: float, right: float) -> str:
    """A grid line from left to right with its value before it."""
    return (
        f'<path class="grid" d="M{left:g} {y:.1f}H{right:g}"/>'
        f'<text class="tick" x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def tick_below(x: float, text: str, *, top: float, bottom: float, anchor: str = "middle") -> str:
    """A grid line from top to bottom with its value below it."""
    return (
        f'<path class="grid" d="M{x:.1f} {top:g}V{bottom:g}"/><text class="tick" x="{x:.1f}" '
        f'y="{bottom + 14:g}" text-anchor="{anchor}">{text}</text>'
    )


def svg_figure(
    parts: Sequence[str], *, width: int, height: int, heading: str, label: str, style: str = ""
) -> str:
    """An HTML figure of one drawing.

    Args:
        parts: SVG elements.
        width: of the drawing, in its own units; it fills the page's column.
        height: likewise.
        heading: HTML above the drawing.
        label: plain text for those who cannot see it.
        style: further class of the figure.
    """
    return (
        f'<figure class="{f"chart {style}".strip()}">\n<figcaption>{heading}</figcaption>\n'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(label)}">\n'
        + "\n".join(parts)
        + "\n</svg>\n</figure>"
    )
