"""From an image source to batches, in an order that depends on nothing but (seed, step).

Shape legend: B batch, C channels, H height, W width, D label width.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stargan_deploy.data.joint import set_sizes
from stargan_deploy.data.order import JointOrder, Place, Steps, StreamOrder, spread_order
from stargan_deploy.data.source import DataConfig, ImageSource
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.images import Pixels, centre_crop_resize

Batch = dict[str, Tensor]

MAX_NAMED_FAILURES = 5
NUM_DECODERS = 4
SKIPPING = "--skip-broken leaves such images out, `stargan-deploy data check` names them all"
"""What to do about broken images."""


class BatchLoader:
    """Batches of prepared images with their labels, from any step on.

    Every image is decoded once here, so that a broken one is named before the first step. Where
    the prepared set fits into memory it is kept, and no worker processes are needed. Of several
    sets, each batch holds images of one.

    Args:
        source: the images.
        config: how to prepare them.
        batch_size: images a batch.
        seed: decides order and mirroring.
        round_steps: batches from one move of the slowest player to the next.
        part: the rows of a batch whose images are wanted, where several processes share it.

    Raises:
        DataError: images that cannot be read, with their names, or no images.
    """

    def __init__(
        self,
        source: ImageSource,
        config: DataConfig,
        *,
        batch_size: int,
        seed: int,
        round_steps: int = 1,
        part: slice = slice(None),
    ) -> None:
        if not all(set_sizes(source)):
            raise DataError("the data set holds no images")
        self._prepared = PreparedImages(source, config)
        self.notice = self._prepared.notice
        """A line about images that were left out, or nothing."""
        self._labels = torch.from_numpy(source.labels)
        self._part = part
        streams = [
            StreamOrder(
                end - start,
                batch_size=batch_size,
                seed=seed,
                flip=config.flip,
                stream=stream,
                left_out=self._prepared.broken_of(start, end),
            )
            for stream, (start, end) in enumerate(_ranges(source))
        ]
        self._order = JointOrder(streams, round_steps=round_steps)
        self._num_workers = 0 if self._prepared.is_cached else config.num_workers

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end: image (B, 3, H, W) uint8, label (B, D) float32.

        The images are the part of the batch that was asked for, the labels always all of it.
        """
        loader = DataLoader(
            _Rows(self._prepared, self._labels, self._part),
            batch_sampler=Steps(self._order, first_step),
            collate_fn=_as_it_is,
            num_workers=self._num_workers,
            prefetch_factor=4 if self._num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        yield from loader


class PreparedImages:
    """Cropped and resized images (H, W, 3) uint8 by index, all checked, kept where they fit.

    Args:
        source: the images.
        config: how to prepare them; says whether broken ones are refused or left out.

    Raises:
        DataError: broken images that are not to be left out, or a set with no others.
    """

    def __init__(self, source: ImageSource, config: DataConfig) -> None:
        self._source = source
        self._config = config
        size = config.image_size
        fits = len(source) * 3 * size * size <= config.cache_mib * 2**20
        self._cache = np.empty((len(source), size, size, 3), np.uint8) if fits else None
        self._broken = self._check_all()
        if self._broken and not config.skip_broken:
            raise DataError(
                f"{len(self._broken)} image(s) cannot be read: "
                f"{_named(list(self._broken.values()))} ({SKIPPING})"
            )
        for start, end in _ranges(source):
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

    def __len__(self) -> int:
        return len(self._source)

    def broken_of(self, start: int, end: int) -> list[int]:
        """The images from `start` to `end` that cannot be read, counted from `start`."""
        return [index - start for index in self._broken if start <= index < end]

    def pixels(self, index: int) -> Pixels:
        """One prepared image (H, W, 3) in [0, 255]."""
        if self._cache is not None:
            kept: Pixels = self._cache[index]
            return kept
        return self._prepare(index)

    def _prepare(self, index: int) -> Pixels:
        return _prepared(self._source.load(index), self._config)

    def _check_all(self) -> dict[int, str]:
        """Decodes all images; returns why each broken one cannot be read."""
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


class _Rows(Dataset[Batch]):
    """Prepared images by place, a whole batch at a time."""

    def __init__(self, prepared: PreparedImages, labels: Tensor, part: slice) -> None:
        self._prepared = prepared
        self._labels = labels
        self._part = part

    def __getitems__(self, places: Sequence[Place]) -> Batch:
        images = [self._upright_or_mirrored(place) for place in places[self._part]]
        return {
            "image": _to_tensor(images),
            "label": self._labels[[index for index, _ in places]],
        }

    def _upright_or_mirrored(self, place: Place) -> Pixels:
        index, is_mirrored = place
        pixels = self._prepared.pixels(index)
        return pixels[:, ::-1] if is_mirrored else pixels


def to_model_range(image_BCHW: Tensor) -> Tensor:
    """Pixels in [0, 255] to float32 in [-1, 1]."""
    return image_BCHW.to(torch.float32) / 127.5 - 1.0


def first_images(source: ImageSource, config: DataConfig, count: int) -> Batch:
    """A few images spread over a source, prepared and unmirrored, for sample grids.

    Returns:
        image (B, 3, H, W) uint8 and label (B, D) float32, of several sets in turn.

    Raises:
        DataError: an image cannot be read, and is not to be left out; or there is no other.
    """
    rows: list[int] = []
    images: list[Pixels] = []
    for index in spread_order(set_sizes(source), count):
        if len(rows) == count:
            break
        try:
            images.append(_prepared(source.load(index), config))
        except ImageError as error:
            if not config.skip_broken:
                raise DataError(f"{error} ({SKIPPING})") from error
        else:
            rows.append(index)
    if not rows:
        raise DataError(f"no image of {source.description} can be read")
    return {"image": _to_tensor(images), "label": torch.from_numpy(source.labels[rows])}


def _prepared(image: Image.Image, config: DataConfig) -> Pixels:
    # The images of several sets come cropped, each set in its own way.
    crop_size = None if config.sets else config.crop_size or None
    return np.asarray(centre_crop_resize(image, crop_size=crop_size, size=config.image_size))


def _to_tensor(images: Sequence[Pixels]) -> Tensor:
    """Pixels (H, W, 3) of several images as one tensor (B, 3, H, W) uint8."""
    stacked = np.stack(images).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(stacked))


def _as_it_is(batch: Any) -> Any:
    return batch


def _ranges(source: ImageSource) -> list[tuple[int, int]]:
    """Where each set's images start and end."""
    return list(pairwise((0, *accumulate(set_sizes(source)))))


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED_FAILURES
    return "; ".join(names[:MAX_NAMED_FAILURES]) + (f"; and {more} more" if more > 0 else "")
