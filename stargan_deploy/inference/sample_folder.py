"""The folder for images from noise: numbered PNG files, and a grid of all of them."""

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
"""Names of the files of a sampling."""

LEAST_CELL_PX = 64
"""Side of an image in the grid, unless the image is larger."""


@dataclass(frozen=True, kw_only=True)
class SampledFolder:
    """Where the images of one sampling go."""

    path: Path
    count: int

    @property
    def images(self) -> tuple[Path, ...]:
        """The files of the images, in order."""
        width = len(str(self.count - 1))
        return tuple(self.path / f"{number:0{width}}.png" for number in range(self.count))

    @property
    def grid(self) -> Path:
        """The file with all of them."""
        return self.path / GRID_NAME

    def check(self, *, overwrite: bool) -> None:
        """Finds out before images are made whether they can be written; changes nothing.

        Raises:
            UsageError: there are images already, and they are not to be overwritten.
            OutputError: the folder cannot be written.
        """
        check_folder(self.path)
        if not overwrite and (found := _like_ours(self.path)):
            raise UsageError(
                f"{self.path} holds images of an earlier sampling: {found[0].name}, ...",
                hint="replace them with `overwrite`, or choose another `output`",
            )

    def remove_earlier(self) -> None:
        """Removes the images of an earlier sampling, so that two are never mixed.

        Raises:
            OutputError: an image cannot be removed.
        """
        for path in filter(_is_ours, _like_ours(self.path)):
            try:
                path.unlink()
            except OSError as error:
                raise cannot_write(path, error) from error

    def write(self, pixels_NHWC: Pixels, headings: tuple[str, ...]) -> None:
        """Writes images and grid, marked as made by AI.

        Args:
            pixels_NHWC: the images (N, H, W, 3) in [0, 255].
            headings: headings of the grid's columns; without any it is nearly square.

        Raises:
            OutputError: a file cannot be written.
        """
        images = [Image.fromarray(pixels_HWC) for pixels_HWC in pixels_NHWC]
        for image, path in zip(images, self.images, strict=True):
            _write(image, path)
        headings = headings or ("",) * math.ceil(math.sqrt(len(images)))
        width = len(headings)
        rows = [images[start : start + width] for start in range(0, len(images), width)]
        cell_px = max(LEAST_CELL_PX, images[0].width)
        _write(image_grid(rows, headings, cell_px=cell_px), self.grid)


def _like_ours(folder: Path) -> list[Path]:
    """The files with names like those of a sampling."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _OWN_NAME.fullmatch(path.name))


def _is_ours(path: Path) -> bool:
    """Whether an image is marked as made from noise by stargan-deploy."""
    content = path.read_bytes() if path.is_file() else b""
    return all(word.encode() in content for word in (MADE_SOURCE_TYPE, f'"{CREATOR} '))


def _write(image: Image.Image, path: Path) -> None:
    write_bytes(path, encode_image(image, "PNG", xmp=AI_MADE_XMP))
