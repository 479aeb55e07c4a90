"""A page of before and after in one file."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from PIL import Image

from stargan_deploy.files.atomic import write_text
from stargan_deploy.files.images import encode_image


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One photo with what became of it."""

    name: str
    source: Image.Image
    results: tuple[Image.Image, ...]
    """One for each target, RGB, of the source's shape."""


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
    template = resources.files("stargan_deploy.batch.output").joinpath("gallery.html")
    page = Template(template.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        tile_px=max((row.source.width for row in rows), default=128) // 2 + 96,
        sections="\n".join(_section(row, headers) for row in rows),
    )
    write_text(path, page)


def _section(row: GalleryRow, headers: Sequence[str]) -> str:
    name = html.escape(row.name)
    tiles = [
        '<figure class="source"><span class="frame" role="img" aria-label="the photo"></span>'
        "<figcaption>Source</figcaption></figure>"
    ]
    tiles += [_tile(h, image) for h, image in zip(headers, row.results, strict=True)]
    return (
        f'<section style="--source: url({_data_uri(row.source)}); '
        f'--ratio: {row.source.width} / {row.source.height}">\n<h2>{name}</h2>\n'
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
