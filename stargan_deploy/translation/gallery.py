"""Pictures side by side: a labelled grid, and a page of before and after in one file."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from PIL import Image, ImageDraw, ImageFont

from stargan_deploy.files import write_text
from stargan_deploy.images import encode_image

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK = (255, 255, 255), (32, 32, 36)
MARGIN_PX, GAP_PX, HEADER_PX = 20, 8, 30
FONT_PX, MIN_FONT_PX = 16, 9


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One photo with what became of it."""

    name: str
    source: Image.Image
    results: tuple[Image.Image, ...]
    """One for each target, RGB, square."""


def grid_image(
    rows: Sequence[Sequence[Image.Image]], headers: Sequence[str], *, cell_px: int = 128
) -> Image.Image:
    """Lays RGB images out under column headers.

    Args:
        rows: as many images a row as there are headers, or fewer.
        headers: a word or two for each column.
        cell_px: side that every image is resized to, in pixels.
    """
    step = cell_px + GAP_PX
    width = 2 * MARGIN_PX + len(headers) * step - GAP_PX
    height = 2 * MARGIN_PX + HEADER_PX + len(rows) * step - GAP_PX
    grid = Image.new("RGB", (width, height), PAPER)
    _write_headers(grid, headers, cell_px)
    for row, images in enumerate(rows):
        top = MARGIN_PX + HEADER_PX + row * step
        for column, image in enumerate(images):
            cell = image.resize((cell_px, cell_px), Image.Resampling.BICUBIC)
            grid.paste(cell, (MARGIN_PX + column * step, top))
    return grid


def write_gallery(
    path: Path,
    rows: Sequence[GalleryRow],
    headers: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
) -> None:
    """Writes one HTML file that needs nothing else, neither files nor network.

    Args:
        path: the file to write.
        rows: the photos.
        headers: the targets' names, in the order of the rows' results.
        title: heading of the page.
        subtitle: a sentence below it.

    Raises:
        OutputError: the file cannot be written.
    """
    template = resources.files("stargan_deploy.translation").joinpath("gallery.html")
    page = Template(template.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        tile_px=max((row.source.width for row in rows), default=128) // 2 + 96,
        sections="\n".join(_section(row, headers) for row in rows),
    )
    write_text(path, page)


def _write_headers(grid: Image.Image, headers: Sequence[str], cell_px: int) -> None:
    draw = ImageDraw.Draw(grid)
    for column, header in enumerate(headers):
        middle = MARGIN_PX + column * (cell_px + GAP_PX) + cell_px / 2
        text, font = _fitted(draw, header, cell_px)
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


def _section(row: GalleryRow, headers: Sequence[str]) -> str:
    name = html.escape(row.name)
    tiles = [
        '<figure class="source"><span class="frame" role="img" aria-label="the photo"></span>'
        "<figcaption>Source</figcaption></figure>"
    ]
    tiles += [_tile(h, image) for h, image in zip(headers, row.results, strict=True)]
    return (
        f'<section style="--source: url({_data_uri(row.source)})">\n<h2>{name}</h2>\n'
        f'<div class="tiles">\n{chr(10).join(tiles)}\n</div>\n</section>'
    )


def _tile(header: str, image: Image.Image) -> str:
    text = html.escape(header)
    return (
        f'<figure><span class="frame"><img src="{_data_uri(image)}" alt="{text}">'
        f'<input type="range" min="0" max="100" value="0" aria-label="photo over {text}"></span>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _data_uri(image: Image.Image) -> str:
    content = base64.b64encode(encode_image(image, "PNG")).decode("ascii")
    return f"data:image/png;base64,{content}"
