"""The photos of an evaluation: held-out images of a data set, with their labels where it has any.

Shapes: P photos, K labels of a model.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.batch.plan import Photo
from stargan_deploy.card.labels import FloatArray, LabelSpace
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import DataLayout, load_layout
from stargan_deploy.data.layouts.synthetic import HELD_OUT_SHARE
from stargan_deploy.data.open import open_source, recognise
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import DataError
from stargan_deploy.files.colours import ValueRange
from stargan_deploy.presentation.text import printable

DRAWN, PLAIN = "synthetic", "plain"


@dataclass(frozen=True, kw_only=True)
class PhotosRequest:
    """Which photos to evaluate on."""

    root: Path | None = None
    """Folder of a data set, or the file of its labels; None draws faces."""
    source: ImageSource | None = None
    """Images of any origin, instead of a folder."""
    layout: str | None = None
    """How the folder is laid out; None recognises it."""
    labels: tuple[str, ...] = ()
    """Labels that matter; those that the data set does not know are unknown."""
    condition: Literal["left", "right"] | None = None
    """Half of a pair that the model takes."""
    range: ValueRange | None = None
    """Values of deep images that become black and white."""
    count: int
    """Largest number of photos."""
    size: int
    """Side of drawn faces in pixels."""
    seed: int = 0
    """Decides which photos are taken of more."""


class PhotoSet:
    """Photos in a fixed order.

    Args:
        source: where they come from.
        numbers: their numbers in the source.
    """

    def __init__(self, source: ImageSource, numbers: Sequence[int]) -> None:
        self.source = source
        self.numbers = list(numbers)
        self.label_names = source.label_space.names
        """Names of the labels that are known of each photo."""
        rows = source.labels[self.numbers, : source.label_space.num_labels]
        self._labels_PK: FloatArray = np.asarray(rows, np.float32)
        self.names = [printable(source.name(number)) for number in self.numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def photos(self) -> tuple[Photo, ...]:
        """The photos as a pipeline takes them, called by their place among these."""
        return tuple(
            Photo(name=PurePosixPath(str(place)), path=Path(self.location(place)), outputs=())
            for place in range(len(self))
        )

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each photo's file, or of its pixels where it is none."""
        return tuple(hashlib.sha256(self.content(place)).hexdigest() for place in range(len(self)))

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """Name of each photo's domain, where the source has several; else of the image."""
        parts = self.source.domains.items()
        names = [name for name, part in parts for _ in range(len(part))]
        return tuple(names[number] for number in self.numbers)

    @property
    def are_files(self) -> bool:
        """Whether photos are files of their own, and neither drawn nor parts of a larger file."""
        return bool(self.numbers) and Path(self.location(0)).is_file()

    def location(self, place: int) -> str:
        """Path of a photo, or its name where it is no file."""
        return self.source.location(self.numbers[place])

    def load(self, place: int) -> Image.Image:
        """Decode a photo to RGB.

        Raises:
            ImageError: it cannot be read.
        """
        return self.source.load(self.numbers[place])

    def content(self, place: int) -> bytes:
        """The bytes of a photo's file, or its pixels where it is none; empty where it is broken."""
        path = Path(self.location(place))
        try:
            return path.read_bytes() if path.is_file() else self.load(place).tobytes()
        except (OSError, DataError):
            return b""

    def labels(self, space: LabelSpace) -> FloatArray:
        """The photos' own labels (P, K) in a model's order; NaN where they are not known."""
        found = np.full((len(self), space.num_labels), np.nan, np.float32)
        for column, name in enumerate(space.names):
            if name in self.label_names:
                found[:, column] = self._labels_PK[:, self.label_names.index(name)]
        return found


def open_photos(request: PhotosRequest) -> PhotoSet:
    """Open the held-out photos of a data set, or those of them that a seed chooses.

    Raises:
        DataError: there is no such folder, or nothing in it that can be evaluated on.
    """
    source = request.source or open_source(_config(request), "test")
    if not len(source):
        raise DataError(f"{source.description} holds no images to evaluate on")
    return PhotoSet(source, chosen_numbers(source, request.count, request.seed))


def chosen_numbers(source: ImageSource, count: int, seed: int) -> list[int]:
    """Numbers of at most `count` images, as many of each domain, in ascending order."""
    sizes = [len(part) for part in source.domains.values()]
    share, start, numbers = math.ceil(count / len(sizes)), 0, list[int]()
    for size in sizes:
        drawn = np.random.default_rng([seed, size]).permutation(size)[:share]
        numbers += sorted(start + int(number) for number in drawn)
        start += size
    return numbers


def _config(request: PhotosRequest) -> DataConfig:
    if request.root is None:
        known = load_layout(DRAWN).label_names(Path())
        return DataConfig(
            kind=DRAWN,
            attributes=tuple(name for name in known if name in request.labels),
            image_size=request.size,
            num_synthetic=HELD_OUT_SHARE * request.count,
        )
    layout = _layout(request)
    takes_labels = layout.takes_attributes and request.layout is None
    known = layout.label_names(request.root) if takes_labels else ()
    return DataConfig(
        kind=layout.name,
        root=str(request.root),
        attributes=tuple(name for name in known if name in request.labels),
        range=request.range,
        condition=request.condition or "right",
    )


def _layout(request: PhotosRequest) -> DataLayout:
    assert request.root is not None
    if request.layout is not None:
        return load_layout(request.layout)
    return recognise(request.root, automatic=False) or load_layout(PLAIN)
