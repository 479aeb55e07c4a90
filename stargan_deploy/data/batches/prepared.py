"""Items of a source cropped and resized for training: checked at once, kept where they fit.

Shape legend: P panels of an item, H height, W width.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise

import numpy as np
from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.images import Pixels, centre_crop_resize

MAX_NAMED_FAILURES = 5
NUM_DECODERS = 4
SKIPPING = "`skip_broken` leaves such images out; data check names them all"
"""Hint about broken images."""


class PreparedImages:
    """Cropped and resized items (P, H, W, 3) uint8 of P panels, all checked, kept where they fit.

    Args:
        source: the images.
        config: how to prepare them, and whether broken ones are refused or left out.

    Raises:
        DataError: broken images that are not left out, or a set with no others.
    """

    def __init__(self, source: ImageSource, config: DataConfig) -> None:
        self._source = source
        self._config = config
        size = config.image_size + config.jitter
        shape = (len(source), len(source.panels), size, size, 3)
        fits = math.prod(shape) <= config.cache_mib * 2**20
        self._cache = np.empty(shape, np.uint8) if fits else None
        self._broken = self._check_all()
        if self._broken and not config.skip_broken:
            raise DataError(
                f"{len(self._broken)} image(s) cannot be read: "
                f"{_named(list(self._broken.values()))}",
                hint=SKIPPING,
            )
        for start, end in set_ranges(source):
            if len(self.broken_of(start, end)) == end - start:
                raise DataError(f"no image can be read: {_named(list(self._broken.values()))}")

    @property
    def is_cached(self) -> bool:
        """Whether all images are held in memory."""
        return self._cache is not None

    @property
    def notice(self) -> str:
        """A line about images that are left out, or nothing."""
        names = [self._source.name(index) for index in self._broken]
        number = f"{len(names)} of {len(self)} images"
        return f"left out {number}, which cannot be read: {_named(names)}" if names else ""

    @property
    def panels(self) -> tuple[str, ...]:
        """Names of an item's panels."""
        return self._source.panels

    def __len__(self) -> int:
        return len(self._source)

    def broken_of(self, start: int, end: int) -> list[int]:
        """The images from `start` to `end` that cannot be read, counted from `start`."""
        return [index - start for index in self._broken if start <= index < end]

    def pixels(self, index: int) -> Pixels:
        """One prepared item (P, H, W, 3) in [0, 255]."""
        if self._cache is not None:
            kept: Pixels = self._cache[index]
            return kept
        return self._prepare(index)

    def _prepare(self, index: int) -> Pixels:
        size = self._config.image_size + self._config.jitter
        return prepare_item(self._source, index, self._config, size)

    def _check_all(self) -> dict[int, str]:
        """Decodes all images; returns the reason for each that cannot be read."""
        with ThreadPoolExecutor(NUM_DECODERS) as pool:
            outcomes = pool.map(self._check, range(len(self._source)))
            return {index: reason for index, reason in enumerate(outcomes) if reason}

    def _check(self, index: int) -> str:
        try:
            pixels = self._prepare(index)
        except ImageError as error:
            return str(error)
        if self._cache is not None:
            self._cache[index] = pixels
        return ""


def prepare_item(source: ImageSource, index: int, config: DataConfig, size: int) -> Pixels:
    """An item's panels (P, size, size, 3), each cropped and resized."""
    # The images of several sets come cropped, each set in its own way.
    crop_size = None if config.sets else config.crop_size or None
    panels = _cut_apart(source.load(index), len(source.panels))
    resized = (centre_crop_resize(panel, crop_size=crop_size, size=size) for panel in panels)
    return np.stack([np.asarray(panel) for panel in resized])


def _cut_apart(item: Image.Image, number: int) -> list[Image.Image]:
    """An item's panels from left to right."""
    if number == 1:
        return [item]
    width = item.width // number
    lefts = range(0, number * width, width)
    return [item.crop((left, 0, left + width, item.height)) for left in lefts]


def set_ranges(source: ImageSource) -> list[tuple[int, int]]:
    """First index of each set's images, and the one after the last."""
    return list(pairwise((0, *accumulate(source.set_sizes))))


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED_FAILURES
    return "; ".join(names[:MAX_NAMED_FAILURES]) + (f"; and {more} more" if more > 0 else "")
