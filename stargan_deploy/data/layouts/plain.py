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


class PlainLayout(DataLayout):
    """Images without labels, which `train` and `test` (or `val`) folders may divide."""

    name = "plain"
    recipe = "progan"
    summary = "images without labels (data.kind = plain)"
    takes_attributes = False

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:  # noqa: ARG002
        """Opens the images of a split; without such folders every twentieth is held out."""
        base = split_folder(root, split)
        files = required_images(base)
        if base == root:
            files = _share(files, split)
        return FileTable(base, files, description=root.resolve().name)


def _share(files: Sequence[Path], split: Split) -> list[Path]:
    """The images of a split; where there are too few to divide, all of them."""
    if len(files) < 2 * HELD_OUT_EVERY:
        return list(files)
    is_test = split == "test"
    return [path for i, path in enumerate(files) if (i % HELD_OUT_EVERY == 0) == is_test]
