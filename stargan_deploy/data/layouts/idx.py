"""MNIST's four files in the IDX format (LeCun, Cortes and Burges), plain or gzipped.

An IDX file is a magic number (two zero bytes, the type of the values, the number of dimensions),
the sizes as big-endian 32-bit numbers, and the values, the last dimension fastest.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.data.source import Split
from stargan_deploy.errors import DataError, LabelError, unknown_name

STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}
"""Start of the files' names by split."""

FILES = {"images-idx3": 3, "labels-idx1": 1}
"""Middle of the files' names, and the number of dimensions of what is in them."""

UNSIGNED_BYTE = 8
"""IDX's number for the only type that MNIST has."""

MAX_BYTES = 2**31
"""Most that a file may unpack to, so that a hostile one cannot fill the memory."""


class IdxDigits:
    """Grey images with a class each, held in memory; satisfies `ImageSource`.

    Args:
        root: the folder of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two
            `t10k-` files, each with or without `.gz`.
        classes: the classes to keep, in label order; empty takes all that occur in training.
        split: "train" or "test".

    Raises:
        DataError: a file is missing or damaged, or the two do not fit each other.
        LabelError: a class that does not occur.
    """

    panels: tuple[str, ...] = ("image",)

    def __init__(self, root: Path, *, classes: Sequence[str] = (), split: Split = "train") -> None:
        known = [str(number) for number in np.unique(_read(root, "train", "labels-idx1"))]
        for name in classes:
            if name not in known:
                raise LabelError(unknown_name("class", name, known, where=str(root)))
        wanted = tuple(classes) or tuple(known)
        images, numbers = (_read(root, split, what) for what in FILES)
        if len(images) != len(numbers):
            raise DataError(f"{root} has {len(images)} {split} images, but {len(numbers)} labels")
        rank = {int(name): index for index, name in enumerate(wanted)}
        self._rows = np.flatnonzero(np.isin(numbers, list(rank)))
        self._images = images
        self.num_left_out = len(images) - len(self._rows)
        """Images of the split of which the class is not among the classes."""
        ranks = [rank[int(number)] for number in numbers[self._rows]]
        self.labels = np.eye(len(wanted), dtype=np.float32)[ranks]
        self.label_space = onehot_space(wanted, name="classes")
        self.description = Path(root).resolve().name

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, index: int) -> Image.Image:
        """One image in RGB, its three channels equal."""
        return Image.fromarray(self._images[self._rows[index]]).convert("RGB")

    def name(self, index: int) -> str:
        """The image's number in its file."""
        return f"image {self._rows[index]}"


def holds_idx(root: Path) -> bool:
    """Whether a folder has at least one of MNIST's four files."""
    return any(_find(root, split, what) for split in STEMS for what in FILES)


def find_faults(root: Path, split: Split) -> list[str]:
    """Says which of a split's two files are missing or damaged, in a line each."""
    faults = []
    for what in FILES:
        try:
            _read(root, split, what)
        except DataError as error:
            faults.append(str(error))
    return faults


def read_idx(path: Path, num_dims: int) -> npt.NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes.

    Raises:
        DataError: it cannot be read, or is none.
    """
    content = _unpacked(path)
    header = 4 + 4 * num_dims
    if len(content) < header or content[:4] != bytes((0, 0, UNSIGNED_BYTE, num_dims)):
        raise DataError(f"{path} is no IDX file of unsigned bytes in {num_dims} dimension(s)")
    sizes = struct.unpack(f">{num_dims}I", content[4:header])
    shape = "x".join(map(str, sizes))
    if 0 in sizes:
        raise DataError(f"{path} is damaged, or empty: it is said to hold {shape} values")
    if len(content) - header != math.prod(sizes):
        raise DataError(f"{path} is damaged: {len(content) - header} bytes where {shape} belong")
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def _read(root: Path, split: Split, what: str) -> npt.NDArray[np.uint8]:
    path = _find(root, split, what)
    if path is None:
        stem = _stem(split, what)
        raise DataError(f"{root} holds no {stem}, nor {stem}.gz: it is not MNIST's layout")
    return read_idx(path, FILES[what])


def _find(root: Path, split: Split, what: str) -> Path | None:
    stem = _stem(split, what)
    paths = (Path(root) / name for name in (stem, f"{stem}.gz"))
    return next((path for path in paths if path.is_file()), None)


def _stem(split: Split, what: str) -> str:
    return f"{STEMS[split]}-{what}-ubyte"


def _unpacked(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} unpacks to more than {MAX_BYTES >> 30} GiB; it is not MNIST")
    return content
