"""Images in a folder and its subfolders, without labels."""

from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import DataLayout
from stargan_deploy.data.layouts.folders import required_images, split_folder
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import ImageSource, Split

HELD_OUT_EVERY = 20
"""One image in so many is held out where no folder is."""


class PlainImages(FileTable):
    """All images below a folder.

    Args:
        root: the images, or folders `train` and `test` (or `val`) of them.
        split: "train" or "test"; without such folders every twentieth image is held out.

    Raises:
        DataError: no images.
    """

    def __init__(self, root: Path, *, split: Split = "train") -> None:
        base = split_folder(Path(root), split)
        files = required_images(base)
        if base == Path(root):
            files = _share(files, split)
        names = [str(path.relative_to(base)) for path in files]
        super().__init__(base, names, description=Path(root).resolve().name)


class PlainLayout(DataLayout):
    """Images without labels."""

    name = "plain"
    summary = "images without labels (data.kind = plain)"
    takes_attributes = False

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:  # noqa: ARG002
        """Opens the images of a split."""
        return PlainImages(root, split=split)


def _share(files: Sequence[Path], split: Split) -> list[Path]:
    """The images of a split; where there are too few to divide, all of them."""
    if len(files) < 2 * HELD_OUT_EVERY:
        return list(files)
    is_test = split == "test"
    return [path for i, path in enumerate(files) if (i % HELD_OUT_EVERY == 0) == is_test]
