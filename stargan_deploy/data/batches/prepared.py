"""Items of a source cropped and resized for training: checked at once, kept where they fit.

Shape legend: P panels of an item, H height, W width.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, islice, pairwise

import numpy as np
from PIL import Image

from stargan_deploy.data.batches.order import spread_order
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.colours import NARROW, narrow_note
from stargan_deploy.files.images import (
    BEYOND_CROP,
    Pixels,
    crop_note,
    is_beyond_crop,
    prepare_photo,
)

MAX_NAMED_FAILURES = 5
NUM_DECODERS = 4
NUM_LOOKED_AT = 16
"""Images that are decoded to tell whether those of a source are far larger than the crop."""

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
        self._beyond_crop: set[int] = set()
        self._narrow: set[int] = set()
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
        """A line about images that are left out or too large for the crop, or nothing."""
        names = [self._source.name(index) for index in self._broken]
        parts = []
        if names:
            number = f"{len(names)} of {len(self)} images"
            parts.append(f"left out {number}, which cannot be read: {_named(names)}")
        if self._beyond_crop:
            crop_size = _crop_size(self._config)
            parts.append(crop_note(len(self._beyond_crop), len(self), crop_size))
        if self._narrow:
            parts.append(narrow_note(len(self._narrow), len(self), "data.range"))
        return "; ".join(parts)

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
        item, crop_size = self._source.load(index), _crop_size(self._config)
        if _is_beyond(item, crop_size):
            self._beyond_crop.add(index)
        if NARROW in item.info:
            self._narrow.add(index)
        size = self._config.image_size + self._config.jitter
        return _prepared(item, len(self.panels), crop_size, size)

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


def crop_remark(source: ImageSource, config: DataConfig) -> str:
    """A line about images that are far larger than the crop, among a few of a source; or nothing.

    Raises:
        DataError: an image cannot be read and is not left out.
    """
    looked_at, beyond = 0, 0
    for index in islice(spread_order(source.set_sizes, NUM_LOOKED_AT), NUM_LOOKED_AT):
        with suppress(ImageError):  # named before the first step
            item = source.load(index)
            looked_at += 1
            beyond += _is_beyond(item, _crop_size(config))
    return crop_note(beyond, looked_at, _crop_size(config)) if beyond else ""


def _is_beyond(item: Image.Image, crop_size: int | None) -> bool:
    """Whether an item is far larger than its crop, or was before its set cut it."""
    return is_beyond_crop(item, crop_size) or BEYOND_CROP in item.info


def prepare_item(source: ImageSource, index: int, config: DataConfig, size: int) -> Pixels:
    """An item's panels (P, size, size, 3), each cropped and resized."""
    return _prepared(source.load(index), len(source.panels), _crop_size(config), size)


def _crop_size(config: DataConfig) -> int | None:
    """Side of the centre crop; the images of several sets come cropped, each set in its own way."""
    return None if config.sets else config.crop_size or None


def _prepared(item: Image.Image, num_panels: int, crop_size: int | None, size: int) -> Pixels:
    panels = _cut_apart(item, num_panels)
    resized = (prepare_photo(panel, crop_size=crop_size, size=size) for panel in panels)
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
