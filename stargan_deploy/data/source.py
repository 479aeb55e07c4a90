"""Data sets as the trainer sees them: images in a fixed order, with labels or without."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.errors import DataError
from stargan_deploy.files.colours import ValueRange
from stargan_deploy.files.images import to_rgb

Labels = npt.NDArray[np.float32]
Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


class ImageSource(ABC):
    """Images in a fixed order, with labels or without.

    An item is one image, or several that belong together: panels of one size, side by side.
    Subclass it to train on images of any origin, or wrap them in `SequenceSource`.
    """

    description: str
    """Name of the data set for the card, for example "synthetic faces"."""
    label_space: LabelSpace = NO_LABELS
    labels: Labels
    """The generator's labels (N, D), zeros and ones; those of joint sets include their mask."""
    panels: tuple[str, ...] = ("image",)
    """Names of an item's panels from left to right; one is called "image"."""
    notes: tuple[str, ...] = ()
    """Lines for the user about files that were left out."""
    value_range: ValueRange | None = None
    """Values of deep images that become black and white."""
    folder: Path | None = None
    """Folder of the files, if the images are files."""
    pair_ratio: float | None = 2.0
    """Width by height of files that hold two panels side by side; None where each panel is a file
    of its own."""

    @abstractmethod
    def __len__(self) -> int:
        """Number N of items."""

    @abstractmethod
    def load(self, index: int) -> Image.Image:
        """Decodes one item to RGB.

        Raises:
            ImageError: it cannot be read.
        """

    def name(self, index: int) -> str:
        """Name of an item in the data set, by which messages refer to it."""
        return f"image {index}"

    def location(self, index: int) -> str:
        """Path of an item's file; its name where it has none of its own."""
        return self.name(index)

    def take_range(self, value_range: ValueRange | None) -> None:
        """Brings deep images to 8 bits by a range of values from here on."""
        self.value_range = value_range

    def label_shares(self) -> tuple[float, ...]:
        """Share of the images that have each label, among those of its set; empty without any."""
        if not len(self):
            return ()
        space = self.label_space
        shares = self.labels[:, : space.num_labels].sum(axis=0, dtype=np.float64)
        for number in range(len(space.sets)):
            of_joint = self.labels[:, space.num_labels + number :]
            size = of_joint[:, 0].sum() if space.is_joint else len(self)
            shares[space.slice_of(number)] /= max(size, 1)
        return tuple(map(float, shares))

    @property
    def domains(self) -> Mapping[str, "ImageSource"]:
        """Sources whose images come in orders of their own, by the names of their images."""
        return {"image": self}

    @property
    def set_sizes(self) -> tuple[int, ...]:
        """Number of items of each joined set, in their order."""
        return (len(self),)


def have_images_in_common(source: ImageSource, other: ImageSource) -> bool:
    """Whether two sources are one, or name a file both; images without files are not compared."""
    return source is other or not _files(source).isdisjoint(_files(other))


def _files(source: ImageSource) -> set[str]:
    places = ((source.location(index), source.name(index)) for index in range(len(source)))
    return {location for location, name in places if location != name}


class ChainedSources(ImageSource):
    """The images of several sources, one after another."""

    def __init__(self, sources: Sequence[ImageSource]) -> None:
        self.sources = list(sources)
        self._starts = [0, *accumulate(map(len, sources))]

    def take_range(self, value_range: ValueRange | None) -> None:
        """Brings the deep images of all sources to 8 bits by one range of values."""
        for source in self.sources:
            source.take_range(value_range)

    def __len__(self) -> int:
        return self._starts[-1]

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB."""
        number, own = self._find(index)
        return self.sources[number].load(own)

    def name(self, index: int) -> str:
        """Name of an image in its source."""
        number, own = self._find(index)
        return self.sources[number].name(own)

    def location(self, index: int) -> str:
        """Path of an image."""
        number, own = self._find(index)
        return self.sources[number].location(own)

    def _find(self, index: int) -> tuple[int, int]:
        """Number of an image's source, and its index there."""
        number = bisect_right(self._starts, index) - 1
        return number, index - self._starts[number]


class SequenceSource(ImageSource):
    """Images of any sequence, for example a list or a `torch.utils.data.Dataset`.

    Args:
        items: images, as Pillow has them or as uint8 arrays (H, W, 3) or (H, W); of tuples, which
            data sets with labels give, the first element is the image.
        labels: zeros and ones (N, K), a row for each image; absent for images without labels.
        label_space: names of the labels' columns.
        description: name of the data set for the card.

    Raises:
        DataError: there are not as many rows as images, or as many columns as labels.
    """

    def __init__(
        self,
        items: Sequence[Any],
        labels: npt.ArrayLike | None = None,
        *,
        label_space: LabelSpace = NO_LABELS,
        description: str = "own images",
    ) -> None:
        self._items = items
        self.label_space = label_space
        self.description = description
        rows = np.zeros((len(items), 0)) if labels is None else labels
        self.labels = np.asarray(rows, np.float32)
        shape = (len(items), label_space.label_width)
        if self.labels.shape != shape:
            raise DataError(
                f"{shape[0]} images with {shape[1]} labels each need an array of this shape, "
                f"not {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self._items)

    def load(self, index: int) -> Image.Image:
        """One image in RGB."""
        item = self._items[index]
        image = item[0] if isinstance(item, tuple) else item
        own = image.copy() if isinstance(image, Image.Image) else Image.fromarray(image)
        return to_rgb(own, self.value_range)
