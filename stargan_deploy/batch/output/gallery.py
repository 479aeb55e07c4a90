"""A page of before and after in one file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stargan_deploy.presentation.page import png_uri, write_page


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One photo with its translations."""

    name: str
    source: Image.Image
    results: tuple[Image.Image, ...]
    """One for each target, RGB, of the source's shape."""

    @property
    def source_uri(self) -> str:
        """The photo as a data URI."""
        return png_uri(self.source)

    def tiles(self, headings: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The translations as data URIs under their headings."""
        return zip(headings, map(png_uri, self.results), strict=True)


def write_gallery(
    path: Path,
    rows: Sequence[GalleryRow],
    headings: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
) -> None:
    """Writes one HTML file that needs nothing else, neither files nor network.

    Args:
        path: the file to write.
        rows: the photos.
        headings: the targets' names, in the order of the rows' results.
        title: heading of the page.
        subtitle: a sentence below it.

    Raises:
        OutputError: the file cannot be written.
    """
    tile_px = max((row.source.width for row in rows), default=128) // 2 + 96
    parts = {"rows": rows, "headings": headings, "tile_px": tile_px}
    write_page(path, "gallery.html", title=title, subtitle=subtitle, **parts)
