"""Pairs of images, an input and the output that belongs to it, as pix2pix learns from."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import SERVE_BOTH, Contents, DataLayout, Findings, group_of_files
from stargan_deploy.data.layouts.folders import required_images, split_folder, split_folders
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.images import load_image
from stargan_deploy.files.walk import image_files


class PairedImages(FileTable):
    """Files of two halves side by side, as pix2pix's own data sets are.

    Args:
        root: the files, or folders `train` and `test` (or `val`) of them.
        condition: which half is the input.
        split: "train" or "test"; without such folders all pairs serve both.

    Raises:
        DataError: no images, or images that are not pairs.
    """

    def __init__(
        self,
        root: Path,
        *,
        condition: Literal["left", "right"] = "right",
        split: Split = "train",
    ) -> None:
        base = split_folder(Path(root), split)
        files = required_images(base)
        super().__init__(
            base,
            [str(path.relative_to(base)) for path in files],
            description=Path(root).resolve().name,
        )
        self.panels = ("condition", "image") if condition == "left" else ("image", "condition")
        self._refuse_singles()

    def load(self, index: int) -> Image.Image:
        """Decodes one pair.

        Raises:
            ImageError: it cannot be read, or is not a pair.
        """
        return load_pair(self.folder / self.names[index])

    def _refuse_singles(self) -> None:
        """Looks at the headers alone, so that a folder of another kind is refused at once."""
        singles = []
        for name in self.names:
            width, height = _size(self.folder / name)
            if width != 2 * height and width:
                singles.append(_complaint(name, width, height))
        if singles:
            more = f" (and {len(singles) - 1} more)" if len(singles) > 1 else ""
            raise DataError(f"{self.folder} does not hold pairs: {singles[0]}{more}")


class PairedLayout(DataLayout):
    """Pairs of images side by side."""

    name = "paired"
    summary = "pairs of images side by side (data.kind = paired)"
    noun = "pairs"
    takes_attributes = False

    def recognises(self, root: Path) -> bool:
        """Whether all images that can be read are twice as wide as high."""
        return look_like_pairs(image_files(root))

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the pairs of a split."""
        return PairedImages(root, condition=config.condition, split=split)

    def contents(self, config: DataConfig, root: Path) -> Contents:  # noqa: ARG002
        """All files of all splits, `val` among them, also those that are not pairs."""
        found = Findings()
        trained = [split_folder(root, split) for split in SPLITS]
        for name, folder in (split_folders(root) or {"train": root}).items():
            if folder in trained or image_files(folder):
                files = found.attempt(partial(required_images, folder))
                if files:
                    found.groups.append(
                        group_of_files(
                            files, load_pair, split=name, folder=str(folder), num_panels=2
                        )
                    )
        if trained[0] == trained[1]:
            found.remarks.append(SERVE_BOTH)
        return found.contents(self.name, root)


def load_pair(path: Path) -> Image.Image:
    """Decodes a file of two squares side by side.

    Raises:
        ImageError: it cannot be read, or is not a pair.
    """
    pair = load_image(path)
    if pair.width != 2 * pair.height:
        raise ImageError(_complaint(f"{path}", *pair.size))
    return pair


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
