"""Pairs of images, an input and the output that belongs to it, as pix2pix learns from."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import SERVE_BOTH, Contents, DataLayout
from stargan_deploy.data.layouts.folders import required_images, split_folder, split_folders
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.walk import image_files


class PairedImages(FileTable):
    """Files of two halves side by side, as pix2pix's own data sets are."""

    panels = ("image", "condition")

    def load(self, index: int) -> Image.Image:
        """Decodes one pair.

        Raises:
            ImageError: it cannot be read, or is not two squares side by side.
        """
        pair = super().load(index)
        if pair.width != 2 * pair.height:
            raise ImageError(_complaint(self.location(index), *pair.size))
        return pair

    def refuse_singles(self) -> None:
        """Refuses a folder of another kind at once, by the headers of its files alone.

        Raises:
            DataError: there are images that are not pairs.
        """
        singles = []
        for name in self.names:
            width, height = _size(self.folder / name)
            if width != 2 * height and width:
                singles.append(_complaint(name, width, height))
        if singles:
            more = f" (and {len(singles) - 1} more)" if len(singles) > 1 else ""
            raise DataError(f"{self.folder} does not hold pairs: {singles[0]}{more}")


class PairedLayout(DataLayout):
    """Pairs of images side by side, which `train` and `test` (or `val`) folders may divide."""

    name = "paired"
    summary = "pairs of images side by side (data.kind = paired)"
    noun = "pairs"
    takes_attributes = False

    def recognises(self, root: Path) -> bool:
        """Whether all images that can be read are twice as wide as high."""
        return look_like_pairs(image_files(root))

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the pairs of a split."""
        base = split_folder(root, split)
        pairs = PairedImages(base, required_images(base), description=root.resolve().name)
        if config.condition == "left":
            pairs.panels = ("condition", "image")
        pairs.refuse_singles()
        return pairs

    def contents(self, config: DataConfig, root: Path) -> Contents:  # noqa: ARG002
        """All files of all splits, `val` among them, also those that are not pairs."""
        found = Contents(layout=self.name)
        trained = [split_folder(root, split) for split in SPLITS]
        for name, folder in (split_folders(root) or {"train": root}).items():
            if folder in trained or image_files(folder):
                files = found.attempt(partial(required_images, folder))
                if files:
                    found.add(PairedImages(folder, files, description=""), split=name)
        if trained[0] == trained[1]:
            found.remarks.append(SERVE_BOTH)
        found.require_groups()
        found.remark_unused(root)
        return found


def look_like_pairs(files: Sequence[Path]) -> bool:
    """Whether all files that can be read are twice as wide as high, by their headers alone."""
    is_one_read = False
    for path in files:
        width, height = _size(path)
        if width != 2 * height:
            return False
        is_one_read |= width > 0
    return is_one_read


def _size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; zeros where the file cannot be read: decoding reports that."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def _complaint(name: str, width: int, height: int) -> str:
    return (
        f"{name} is {width}x{height}, and a pair is two squares side by side, twice as wide as high"
    )
