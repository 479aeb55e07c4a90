"""The division of a table of images into rows to train on and rows held out."""

import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from stargan_deploy.data.config import Scheme
from stargan_deploy.data.layouts.label_text import DELIMITERS, read_lines
from stargan_deploy.data.source import Split
from stargan_deploy.errors import DataError

SPLIT_SEED = 1234
NUM_HELD_OUT = 1999
"""Rows that the official code holds out of CelebA."""

PARTITION_FILES = ("list_eval_partition.txt", "list_eval_partition.csv")
PARTITIONS = {"0": "train", "1": "validation", "2": "test"}
"""CelebA's own division of its images (Liu et al., ICCV 2015)."""


def choose_rows(
    files: Sequence[str], split: Split, scheme: Scheme, *, folder: Path, num_held_out: int
) -> list[int]:
    """The indices of the rows of one split, in the order in which they are to be used.

    Args:
        files: the file of each row.
        split: "train" or "test".
        scheme: "official" shuffles all rows with Python's generator seeded 1234 and holds out the
            first ones (yunjey/stargan, data_loader.py); "partition" reads CelebA's partition file;
            "none" gives all rows to both.
        folder: folder of the partition file.
        num_held_out: number of rows that the official scheme holds out.

    Raises:
        DataError: a partition file that is missing, malformed, or does not know a row.
    """
    if scheme == "none":
        return list(range(len(files)))
    if scheme == "partition":
        parts = read_partition(folder)
        return [index for index, file in enumerate(files) if _part(parts, file, folder) == split]
    shuffled = list(range(len(files)))
    random.Random(SPLIT_SEED).shuffle(shuffled)
    return shuffled[:num_held_out] if split == "test" else shuffled[num_held_out:]


def read_partition(folder: Path) -> dict[str, str]:
    """Reads CelebA's partition file: "train", "validation" or "test" by image file.

    Its rows are a file and 0, 1 or 2, separated by blanks, or below a line of names as in a
    CSV.

    Raises:
        DataError: no such file, or a row that is not valid.
    """
    path = next((folder / n for n in PARTITION_FILES if (folder / n).is_file()), None)
    if path is None:
        raise DataError(
            f'{folder} has no {PARTITION_FILES[0]}, which data.split = "partition" reads',
            hint="set data.split=official or none",
        )
    parts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.translate(dict.fromkeys(map(ord, DELIMITERS), " ")).split()
        if not cells or (number == 1 and path.suffix == ".csv"):
            continue
        if len(cells) != 2 or cells[1] not in PARTITIONS:
            raise DataError(f"{path}, line {number} is not a file and 0, 1 or 2: {line[:60]!r}")
        parts[cells[0]] = PARTITIONS[cells[1]]
    return parts


def _part(parts: dict[str, str], file: str, folder: Path) -> str:
    part = parts.get(file) or parts.get(PurePosixPath(file).name)
    if part is None:
        raise DataError(f"the partition file in {folder} does not know {file!r}")
    return part
