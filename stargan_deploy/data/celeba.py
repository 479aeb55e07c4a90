"""CelebA's layout: a folder of images and `list_attr_celeba.txt` (Liu et al., ICCV 2015).

The list's first line is the number of rows, the second the attribute names, and each further one
a file name with a 1 or -1 for each attribute. Either line ending is read.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from stargan_deploy.data.source import Labels, Split
from stargan_deploy.data.table import FileTable, attribute_columns
from stargan_deploy.errors import DataError
from stargan_deploy.images import IMAGE_SUFFIXES
from stargan_deploy.labels import multilabel_space

PAPER_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""The five attributes of the paper's CelebA experiments."""

NUM_HELD_OUT = 1999
SPLIT_SEED = 1234
IMAGE_FOLDERS = ("images", "img_align_celeba", "img_celeba")


class CelebA(FileTable):
    """CelebA or anything in its layout.

    Args:
        root: the data set's folder, or the one above it.
        attributes: the attributes to read, in label order; empty takes the paper's five.
        split: "train" or "test".
        scheme: "official" shuffles all rows with Python's generator seeded 1234 and holds out the
            first 1,999 (yunjey/stargan, data_loader.py); "none" gives all rows to both.

    Raises:
        DataError: no attribute list, no images, or a malformed row.
        LabelError: an attribute that the list does not have.
    """

    def __init__(
        self,
        root: Path,
        *,
        attributes: Sequence[str] = (),
        split: Split = "train",
        scheme: Literal["official", "none"] = "official",
    ) -> None:
        list_file = find_attribute_file(root)
        if list_file is None:
            raise DataError(f"{root} holds no list_attr_*.txt, so it is not in CelebA's layout")
        known, lines = _read_list(list_file)
        wanted = tuple(attributes) or PAPER_ATTRIBUTES
        columns = attribute_columns(known, wanted, where=list_file.name)
        names, labels = _parse_rows(_choose(lines, split, scheme), len(known), columns, list_file)
        if not names:
            raise DataError(
                f"{list_file} has {len(lines)} rows, which leaves none for {split}: the official "
                f"split holds out {NUM_HELD_OUT}; use --set data.split=none for a smaller set"
            )
        super().__init__(
            find_image_folder(list_file.parent),
            names,
            labels,
            label_space=multilabel_space(wanted),
            description=Path(root).resolve().name,
        )


def find_attribute_file(root: Path) -> Path | None:
    """The attribute list of a folder in CelebA's layout, or None."""
    patterns = ("list_attr*.txt", "*/list_attr*.txt")
    return next((path for p in patterns for path in sorted(Path(root).glob(p))), None)


def find_image_folder(folder: Path) -> Path:
    """The folder with the images beside an attribute list.

    Raises:
        DataError: no folder with images is there.
    """
    others = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for name in (*IMAGE_FOLDERS, *others, "."):
        candidate = folder / name
        if candidate.is_dir() and any(_is_image(path) for path in candidate.iterdir()):
            return candidate
    raise DataError(f"{folder} has an attribute list, but no folder of images beside it")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _read_list(path: Path) -> tuple[list[str], list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise DataError(f"{path} does not start with a row count and attribute names")
    return lines[1].split(), [line.rstrip() for line in lines[2:] if line.strip()]


def _choose(lines: list[str], split: Split, scheme: str) -> list[str]:
    if scheme == "none":
        return lines
    shuffled = list(lines)
    random.Random(SPLIT_SEED).shuffle(shuffled)
    return shuffled[:NUM_HELD_OUT] if split == "test" else shuffled[NUM_HELD_OUT:]


def _parse_rows(
    lines: Sequence[str], num_known: int, columns: Sequence[int], path: Path
) -> tuple[list[str], Labels]:
    names, rows = [], []
    for line in lines:
        name, *values = line.split()
        if len(values) != num_known or not set(values) <= {"1", "-1", "0"}:
            raise DataError(f"{path}: the row of {name!r} does not have {num_known} values 1 or -1")
        names.append(name)
        rows.append([values[column] == "1" for column in columns])
    return names, np.array(rows, np.float32).reshape(len(rows), len(columns))
