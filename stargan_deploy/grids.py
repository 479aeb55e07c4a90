"""Tables of pictures with a heading over each column, as one image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stargan_deploy.images import Pixels

MARGIN = 4
BACKGROUND = (250, 250, 250)
INK = (40, 40, 40)
MIN_CELL = 96
"""Cells narrower than this are enlarged by a whole factor, so that headings stay readable."""


def picture_grid(rows: Sequence[Sequence[Pixels]], headings: Sequence[str]) -> Image.Image:
    """Lays pictures out in rows and columns.

    Args:
        rows: equally many pictures (H, W, 3) in [0, 255] a row, all of one size.
        headings: one a column.

    Returns:
        An RGB image.
    """
    height, width = rows[0][0].shape[:2]
    factor = -(-MIN_CELL // width) if width < MIN_CELL else 1
    cell = (width * factor, height * factor)
    font, lines = _fitting_font(headings, cell[0])
    head = MARGIN * 2 + round(font.size * 1.3) * lines
    columns = len(headings)
    size = (MARGIN + columns * (cell[0] + MARGIN), head + len(rows) * (cell[1] + MARGIN))
    canvas = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for column, heading in enumerate(headings):
        x = MARGIN + column * (cell[0] + MARGIN)
        draw.multiline_text(
            (x + cell[0] / 2, head / 2), _words(heading), INK, font, anchor="mm", align="center"
        )
        for row, pictures in enumerate(rows):
            picture = Image.fromarray(np.asarray(pictures[column]))
            enlarged = picture.resize(cell, Image.Resampling.NEAREST) if factor > 1 else picture
            canvas.paste(enlarged, (x, head + row * (cell[1] + MARGIN)))
    return canvas


def _words(heading: str) -> str:
    return heading.replace("_", " ").replace(":", " ").replace(",", "\n")


def _fitting_font(headings: Sequence[str], width: int) -> tuple[ImageFont.FreeTypeFont, int]:
    """The largest font in which every heading fits its column, and the lines it takes."""
    lines = max(_words(heading).count("\n") + 1 for heading in headings)
    for size in range(max(10, width // 6), 8, -1):
        font = ImageFont.load_default(size)
        widest = max(font.getlength(line) for h in headings for line in _words(h).split("\n"))
        if widest <= width:
            break
    return font, lines  # type: ignore[return-value]
