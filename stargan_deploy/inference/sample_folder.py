"""The folder that pictures from noise are written to: numbered PNG files, and all in one grid."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stargan_deploy.errors import UsageError
from stargan_deploy.files.atomic import cannot_write, check_folder, write_bytes
from stargan_deploy.files.images import Pixels, encode_image
from stargan_deploy.files.metadata import AI_MADE_XMP, CREATOR, MADE_SOURCE_TYPE
from stargan_deploy.presentation.grids import image_grid

GRID_NAME = "grid.png"

_OWN_NAME = re.compile(rf"\d+\.png|{re.escape(GRID_NAME)}")
"""What a sampling calls its files."""

LEAST_CELL_PX = 64
"""Side of a picture in the grid, unless the picture is larger."""


@dataclass(frozen=True, kw_only=True)
class SampledFolder:
    """Where the pictures of one sampling go."""

    path: Path
    count: int

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The files of the pictures, in order."""
        width = len(str(self.count - 1))
        return tuple(self.path / f"{number:0{width}}.png" for number in range(self.count))

    @property
    def grid(self) -> Path:
        """The file with all of them."""
        return self.path / GRID_NAME

    def check(self, *, overwrite: bool) -> None:
        """Finds out before pictures are made whether they can be written; changes nothing.

        Raises:
            UsageError: there are pictures already, and they are not to be overwritten.
            OutputError: the folder cannot be written.
        """
        check_folder(self.path)
        if not overwrite and (found := _like_ours(self.path)):
            raise UsageError(
                f"{self.path} holds pictures of an earlier sampling, such as {found[0].name}; "
                "--overwrite replaces them, or choose another --output"
            )

    def remove_earlier(self) -> None:
        """Takes away what an earlier sampling made, so that pictures of two are never mixed.

        Raises:
            OutputError: a picture cannot be removed.
        """
        for path in filter(_is_ours, _like_ours(self.path)):
            try:
                path.unlink()
            except OSError as error:
                raise cannot_write(path, error) from error

    def write(self, pixels_NHWC: Pixels, headings: tuple[str, ...]) -> None:
        """Writes pictures and grid, marked as made by AI.

        Args:
            pixels_NHWC: the pictures (N, H, W, 3) in [0, 255].
            headings: of the grid's columns; none makes it nearly a square.

        Raises:
            OutputError: a file cannot be written.
        """
        pictures = [Image.fromarray(pixels_HWC) for pixels_HWC in pixels_NHWC]
        for picture, path in zip(pictures, self.pictures, strict=True):
            _write(picture, path)
        headings = headings or ("",) * math.ceil(math.sqrt(len(pictures)))
        width = len(headings)
        rows = [pictures[start : start + width] for start in range(0, len(pictures), width)]
        cell_px = max(LEAST_CELL_PX, pictures[0].width)
        _write(image_grid(rows, headings, cell_px=cell_px), self.grid)


def _like_ours(folder: Path) -> list[Path]:
    """The files that are called as a sampling calls its own."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _OWN_NAME.fullmatch(path.name))


def _is_ours(path: Path) -> bool:
    """Whether a picture says that this tool made it from noise."""
    content = path.read_bytes() if path.is_file() else b""
    return all(word.encode() in content for word in (MADE_SOURCE_TYPE, f'"{CREATOR} '))


def _write(picture: Image.Image, path: Path) -> None:
    write_bytes(path, encode_image(picture, "PNG", xmp=AI_MADE_XMP))
