"""Images in a folder and its subfolders, without labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stargan_deploy.card.labels import NO_LABELS
from stargan_deploy.data.layouts.folders import required_images, split_folder
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import Split

HELD_OUT_EVERY = 20
"""Of images that no folder holds out, every so many-th is."""


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
        super().__init__(
            base,
            [str(path.relative_to(base)) for path in files],
            np.zeros((len(files), 0), np.float32),
            label_space=NO_LABELS,
            description=Path(root).resolve().name,
        )


def _share(files: Sequence[Path], split: Split) -> list[Path]:
    """The images of a split; where there are too few to divide, all of them."""
    if len(files) < 2 * HELD_OUT_EVERY:
        return list(files)
    is_test = split == "test"
    return [path for i, path in enumerate(files) if (i % HELD_OUT_EVERY == 0) == is_test]
