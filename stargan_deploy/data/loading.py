"""From an image source to batches, in an order that depends on nothing but (seed, position).

The stream of training images is one permutation of the set after another, cut into batches
without regard to where a permutation ends. Order and mirroring are functions of the seed and the
position in the stream, so a training that goes on at step n sees what it would have seen.

Shape legend: B batch, C channels, H height, W width, K labels.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stargan_deploy.data.source import DataConfig, ImageSource
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.images import Pixels, centre_crop_resize

Batch = dict[str, Tensor]
Place = tuple[int, bool]
"""An image's index and whether it is mirrored."""

MAX_NAMED_FAILURES = 5
NUM_DECODERS = 4


class BatchLoader:
    """Batches of prepared images with their labels, from any step on.

    Every image is decoded once here, so that a broken one is named before the first step. Where
    the prepared set fits into memory it is kept, and no worker processes are needed.

    Args:
        source: the images.
        config: how to prepare them.
        batch_size: images a batch.
        seed: decides order and mirroring.

    Raises:
        DataError: images that cannot be read, with their names, or none at all.
    """

    def __init__(
        self, source: ImageSource, config: DataConfig, *, batch_size: int, seed: int
    ) -> None:
        if not len(source):
            raise DataError("the data set holds no images")
        self._prepared = PreparedImages(source, config)
        self._labels = torch.from_numpy(source.labels)
        self._order = StreamOrder(len(source), batch_size=batch_size, seed=seed, flip=config.flip)
        self._num_workers = 0 if self._prepared.is_cached else config.num_workers

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end: image (B, 3, H, W) uint8, label (B, K) float32."""
        loader = DataLoader(
            _Rows(self._prepared, self._labels),
            batch_sampler=self._order.from_step(first_step),
            num_workers=self._num_workers,
            prefetch_factor=4 if self._num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        yield from loader


class StreamOrder:
    """Which images make up which step's batch."""

    def __init__(self, num_images: int, *, batch_size: int, seed: int, flip: bool) -> None:
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def at_step(self, step: int) -> list[Place]:
        """The batch of one step."""
        start = step * self.batch_size
        return [self._place(position) for position in range(start, start + self.batch_size)]

    def from_step(self, first_step: int) -> "_Steps":
        """An endless batch sampler."""
        return _Steps(self, first_step)

    def _place(self, position: int) -> Place:
        epoch, offset = divmod(position, self.num_images)
        indices, mirrored = self._permutation(epoch)
        return int(indices[offset]), bool(mirrored[offset])

    def _draw(self, epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        random = np.random.default_rng([self.seed, epoch])
        indices = random.permutation(self.num_images)
        return indices, (random.random(self.num_images) < 0.5) & self.flip


class _Steps:
    """Endless; a class rather than a generator, so that loader workers can be handed it."""

    def __init__(self, order: StreamOrder, first_step: int) -> None:
        self._order = order
        self._first_step = first_step

    def __iter__(self) -> Iterator[list[Place]]:
        step = self._first_step
        while True:
            yield self._order.at_step(step)
            step += 1


class PreparedImages:
    """Cropped and resized images (3, H, W) uint8 by index, all checked, kept where they fit."""

    def __init__(self, source: ImageSource, config: DataConfig) -> None:
        self._source = source
        self._config = config
        size = config.image_size
        fits = len(source) * 3 * size * size <= config.cache_mib * 2**20
        self._cache = np.empty((len(source), size, size, 3), np.uint8) if fits else None
        self._check_all()

    @property
    def is_cached(self) -> bool:
        """Whether all images are held in memory."""
        return self._cache is not None

    def __len__(self) -> int:
        return len(self._source)

    def pixels(self, index: int) -> Pixels:
        """One prepared image (H, W, 3) in [0, 255]."""
        if self._cache is not None:
            kept: Pixels = self._cache[index]
            return kept
        return self._prepare(index)

    def _prepare(self, index: int) -> Pixels:
        return _prepared(self._source.load(index), self._config)

    def _check_all(self) -> None:
        with ThreadPoolExecutor(NUM_DECODERS) as pool:
            outcomes = pool.map(self._check, range(len(self._source)))
            failures = [failure for failure in outcomes if failure]
        if failures:
            named = "; ".join(failures[:MAX_NAMED_FAILURES])
            more = len(failures) - MAX_NAMED_FAILURES
            rest = f"; and {more} more" if more > 0 else ""
            raise DataError(f"{len(failures)} image(s) cannot be read: {named}{rest}")

    def _check(self, index: int) -> str:
        try:
            pixels = self._prepare(index)
        except ImageError as error:
            return str(error)
        if self._cache is not None:
            self._cache[index] = pixels
        return ""


class _Rows(Dataset[Batch]):
    """Prepared images by place, as tensors."""

    def __init__(self, prepared: PreparedImages, labels: Tensor) -> None:
        self._prepared = prepared
        self._labels = labels

    def __getitem__(self, place: Place) -> Batch:
        index, mirrored = place
        pixels = self._prepared.pixels(index)
        upright = pixels[:, ::-1] if mirrored else pixels
        image_CHW = torch.from_numpy(np.ascontiguousarray(upright.transpose(2, 0, 1)))
        return {"image": image_CHW, "label": self._labels[index]}


def to_model_range(image_BCHW: Tensor) -> Tensor:
    """Pixels in [0, 255] to float32 in [-1, 1]."""
    return image_BCHW.to(torch.float32) / 127.5 - 1.0


def first_images(source: ImageSource, config: DataConfig, count: int) -> Batch:
    """The first images of a source, prepared and unmirrored, for sample grids.

    Returns:
        image (B, 3, H, W) uint8 and label (B, K) float32.
    """
    number = min(count, len(source))
    squares = [_prepared(source.load(index), config) for index in range(number)]
    stacked = np.stack(squares).transpose(0, 3, 1, 2)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(stacked)),
        "label": torch.from_numpy(source.labels[:number]),
    }


def _prepared(image: Image.Image, config: DataConfig) -> Pixels:
    crop_size = config.crop_size or None
    return np.asarray(centre_crop_resize(image, crop_size=crop_size, size=config.image_size))
