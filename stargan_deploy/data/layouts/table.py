"""Image sources made of files: any with a row of labels each, and those that a label file lists."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import NO_LABELS, LabelSpace, multilabel_space
from stargan_deploy.data.config import Scheme
from stargan_deploy.data.layout import Contents, group_of_files
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.source import ImageSource, Labels, Split
from stargan_deploy.data.splits import NUM_HELD_OUT, choose_rows
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import load_image
from stargan_deploy.files.walk import found_at, image_files, subfolders

IMAGE_FOLDERS = ("images", "img_align_celeba", "img_celeba")
"""Usual names of the folder of images beside a label file."""

NUM_PROBED = 20
"""Files that are looked for to find the folder they stand in."""


class FileTable(ImageSource):
    """Files below one folder with a row of labels each.

    Args:
        folder: the folder.
        names: paths of the files below it.
        labels: a row each; absent for images without labels.
        label_space: names of the labels.
        description: name of the data set for the card.
    """

    folder: Path

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        labels: Labels | None = None,
        *,
        label_space: LabelSpace = NO_LABELS,
        description: str,
    ) -> None:
        self.folder = folder
        self.names = list(names)
        self.labels = np.zeros((len(names), 0), np.float32) if labels is None else labels
        self.label_space = label_space
        self.description = description

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB."""
        return load_image(self.folder / self.names[index])

    def name(self, index: int) -> str:
        """Path of an image below the folder."""
        return self.names[index]

    def location(self, index: int) -> str:
        """Path of an image."""
        return str(self.folder / self.names[index])


class ListedImages(FileTable):
    """Images with the attributes that a label file lists.

    Args:
        file: the label file.
        attributes: the attributes to read, in label order.
        split: "train" or "test".
        scheme: how rows are held out (see `choose_rows`).
        held_out_share: the official scheme holds out one row in so many, where that is fewer than
            CelebA's 1,999, and none of a few; absent for 1,999 of any number.
        set_name: name of the label set.
        description: name of the data set for the card.

    Raises:
        DataError: a malformed row, no row in the split, or no image.
        LabelError: an attribute that the file does not have.
    """

    def __init__(
        self,
        file: LabelFile,
        attributes: Sequence[str],
        *,
        split: Split,
        scheme: Scheme,
        held_out_share: int | None = None,
        set_name: str,
        description: str,
    ) -> None:
        self.file = file
        path = file.path
        rows = file.read(attributes)
        share = len(rows.files) // held_out_share if held_out_share else NUM_HELD_OUT
        number = min(NUM_HELD_OUT, share)
        scheme = "none" if scheme == "official" and not number else scheme
        chosen = choose_rows(rows.files, split, scheme, folder=path.parent, num_held_out=number)
        if not chosen:
            raise DataError(
                f"{path} has {len(rows.files)} rows, and data.split={scheme} leaves none for "
                f"{split} (official holds out {number})",
                hint="set data.split=none",
            )
        super().__init__(
            image_folder(file, rows.files),
            [rows.files[index] for index in chosen],
            rows.labels[chosen],
            label_space=multilabel_space(attributes, name=set_name),
            description=description,
        )

    def contents(self, layout: str) -> Contents:
        """All images that the file lists; remarks on rows and images that do not match."""
        names = dict.fromkeys(self.names)
        beside = [path.relative_to(self.folder).as_posix() for path in image_files(self.folder)]
        unnamed = [name for name in beside if name not in names]
        remarks = []
        if self.file.num_rows_said not in (None, len(self)):
            remarks.append(
                f"{self.file.path.name} has {len(self)} rows, and says "
                f"{self.file.num_rows_said}: is it whole?"
            )
        if unnamed:
            remarks.append(f"{len(unnamed)} images have no row, such as {unnamed[0]}")
        if len(names) < len(self):
            repeated = len(self) - len(names)
            remarks.append(f"{repeated} rows name an image that an earlier row names")
        group = group_of_files([self.folder / name for name in names], source=self)
        return Contents(layout=layout, groups=(group,), remarks=tuple(remarks))


def image_folder(file: LabelFile, names: Sequence[str]) -> Path:
    """The folder with the most of a label file's first images.

    A list's images lie in a folder beside it, a CSV names them from its own folder or from one
    beside it; where none of a list's is there, any folder with images is taken, so that each
    missing image is named.

    Raises:
        DataError: no such folder.
    """
    base = file.path.parent
    nested = [f"{name}/{name}" for name in IMAGE_FOLDERS]  # as archives are unpacked on Kaggle
    beside = [*IMAGE_FOLDERS, *nested, *(folder.name for folder in subfolders(base))]
    order = [*beside, "."] if file.is_list else [".", *beside]
    candidates = [base / name for name in order]
    probed = names[:NUM_PROBED]
    found = [sum(found_at(folder / name) == "file" for name in probed) for folder in candidates]
    if max(found):
        return candidates[found.index(max(found))]
    if not file.is_list:
        raise DataError(
            f"{file.path}: none of its first {len(probed)} files ({probed[0]!r}, ...) stands in "
            f"{base} or {base / 'images'}"
        )
    for folder in candidates:
        if found_at(folder) == "folder" and image_files(folder):
            return folder
    raise DataError(f"{base} has an attribute list, but no folder of images beside it")
