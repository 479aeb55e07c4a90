"""Tables of images with a heading over each column, as one image."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK = (255, 255, 255), (32, 32, 36)
MARGIN_PX, GAP_PX, HEADING_PX = 20, 8, 30
FONT_PX, MIN_FONT_PX = 16, 9


def image_grid(
    rows: Sequence[Sequence[Image.Image]], headings: Sequence[str], *, cell_px: int = 128
) -> Image.Image:
    """Lays RGB images out under column headings, if there are any.

    Args:
        rows: at most as many images in each as there are headings.
        headings: a word or two for each column, or nothing.
        cell_px: side that every image is resized to, in pixels.
    """
    step = cell_px + GAP_PX
    width = 2 * MARGIN_PX + len(headings) * step - GAP_PX
    heading_px = HEADING_PX if any(headings) else 0
    height = 2 * MARGIN_PX + heading_px + len(rows) * step - GAP_PX
    grid = Image.new("RGB", (width, height), PAPER)
    _write_headings(grid, headings, cell_px)
    for row, images in enumerate(rows):
        top = MARGIN_PX + heading_px + row * step
        for column, image in enumerate(images):
            cell = image.resize((cell_px, cell_px), Image.Resampling.BICUBIC)
            grid.paste(cell, (MARGIN_PX + column * step, top))
    return grid


def _write_headings(grid: Image.Image, headings: Sequence[str], cell_px: int) -> None:
    draw = ImageDraw.Draw(grid)
    for column, heading in enumerate(headings):
        middle = MARGIN_PX + column * (cell_px + GAP_PX) + cell_px / 2
        text, font = _fitted(draw, heading.replace("_", " "), cell_px)
        width = draw.textlength(text, font=font)
        draw.text((middle - width / 2, MARGIN_PX), text, fill=INK, font=font)


def _fitted(draw: ImageDraw.ImageDraw, text: str, width_px: int) -> tuple[str, Font]:
    """A text in Pillow's own font, as large as the width allows, and cut where it must be."""
    sizes = [(text, size) for size in range(FONT_PX, MIN_FONT_PX, -1)]
    cuts = [(f"{text[:length]}...", MIN_FONT_PX) for length in range(len(text) - 1, 0, -1)]
    for candidate, size in [*sizes, (text, MIN_FONT_PX), *cuts]:
        font = ImageFont.load_default(size)
        if draw.textlength(candidate, font=font) <= width_px:
            return candidate, font
    return "", ImageFont.load_default(MIN_FONT_PX)
