"""MNIST's four files in the IDX format (LeCun, Cortes and Burges), plain or gzipped.

An IDX file is a magic number (two zero bytes, the type of the values, the number of dimensions),
the sizes as big-endian 32-bit numbers, and the values, the last dimension fastest.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import DataError, LabelError, unknown_name

STEMS: dict[Split, str] = {"train": "train", "test": "t10k"}
"""Start of the files' names by split."""

FILES = {"images-idx3": 3, "labels-idx1": 1}
"""Middle of the files' names, and the number of dimensions of their content."""

UNSIGNED_BYTE = 8
"""IDX's number for the only type that MNIST has."""

MAX_BYTES = 2**31
"""Size that a file may unpack to, so that a hostile one cannot fill the memory."""


class IdxDigits(ImageSource):
    """Grey images with a class each, held in memory.

    Args:
        root: the folder of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two
            `t10k-` files, each with or without `.gz`.
        classes: the classes to keep, in label order; empty takes all that occur in training.
        split: "train" or "test".

    Raises:
        DataError: a file is missing or damaged, or the two do not fit each other.
        LabelError: a class that does not occur.
    """

    folder: Path

    def __init__(self, root: Path, *, classes: Sequence[str] = (), split: Split = "train") -> None:
        known = [str(number) for number in np.unique(_read(root, "train", "labels-idx1"))]
        for name in classes:
            if name not in known:
                raise LabelError(unknown_name("class", name, known, where=str(root)))
        wanted = tuple(classes) or tuple(known)
        images, numbers = (_read(root, split, part) for part in FILES)
        if len(images) != len(numbers):
            raise DataError(f"{root} has {len(images)} {split} images, but {len(numbers)} labels")
        rank = {int(name): index for index, name in enumerate(wanted)}
        self.folder = Path(root)
        self._rows = np.flatnonzero(np.isin(numbers, list(rank)))
        self._images = images
        self.num_left_out = len(images) - len(self._rows)
        """Number of images of the split whose class is not among the classes."""
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

    def location(self, index: int) -> str:
        """The image's number, below the folder."""
        return str(self.folder / self.name(index))


class IdxLayout(DataLayout):
    """MNIST's IDX files."""

    name = "idx"
    recipe = "dcgan"
    summary = "MNIST's IDX files (data.kind = idx)"

    def recognises(self, root: Path) -> bool:
        """Whether a folder has at least one of MNIST's four files."""
        return any(_find(root, split, part) for split in STEMS for part in FILES)

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the two files of a split."""
        return IdxDigits(root, classes=config.attributes, split=split)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """The images of both splits, or a line on each file that is missing or damaged."""
        found = Contents(layout=self.name)
        for split in SPLITS:
            read = partial(IdxDigits, root, classes=config.attributes, split=split)
            digits = found.attempt(read)
            if digits is None:
                found.add_problems(find_faults(root, split))
                continue
            if digits.num_left_out and not config.attributes:
                words = f"{split} images are left out, whose classes do not occur in training"
                found.remarks.append(f"{digits.num_left_out} {words}")
            found.add(digits, split=split)
        if not self.recognises(root):
            found.require_groups()
        found.remark_unused(root)
        return found


def find_faults(root: Path, split: Split) -> list[str]:
    """A line on each of a split's two files that is missing or damaged."""
    faults = []
    for part in FILES:
        try:
            _read(root, split, part)
        except DataError as error:
            faults.append(str(error))
    return faults


def read_idx(path: Path, num_dims: int) -> npt.NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes.

    Raises:
        DataError: it cannot be read, or is not an IDX file.
    """
    content = _unpacked(path)
    header = 4 + 4 * num_dims
    if len(content) < header or content[:4] != bytes((0, 0, UNSIGNED_BYTE, num_dims)):
        raise DataError(f"{path} is not an IDX file of unsigned bytes in {num_dims} dimension(s)")
    sizes = struct.unpack(f">{num_dims}I", content[4:header])
    shape = "x".join(map(str, sizes))
    if 0 in sizes:
        raise DataError(f"{path} is damaged, or empty: it is said to hold {shape} values")
    if len(content) - header != math.prod(sizes):
        raise DataError(f"{path} is damaged: {len(content) - header} bytes where {shape} belong")
    return np.frombuffer(content, np.uint8, offset=header).reshape(sizes)


def _read(root: Path, split: Split, part: str) -> npt.NDArray[np.uint8]:
    path = _find(root, split, part)
    if path is None:
        stem = _stem(split, part)
        raise DataError(f"{root} holds no {stem}, nor {stem}.gz: it is not MNIST's layout")
    return read_idx(path, FILES[part])


def _find(root: Path, split: Split, part: str) -> Path | None:
    stem = _stem(split, part)
    paths = (Path(root) / name for name in (stem, f"{stem}.gz"))
    return next((path for path in paths if path.is_file()), None)


def _stem(split: Split, part: str) -> str:
    return f"{STEMS[split]}-{part}-ubyte"


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
