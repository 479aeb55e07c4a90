"""From an image source to batches, in an order that depends on nothing but (seed, step).

Shape legend: B batch, C channels, H height, W width, D label width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stargan_deploy.card.pixels import levels_to_unit
from stargan_deploy.data.batches.order import JointOrder, Place, Steps, StreamOrder, spread_order
from stargan_deploy.data.batches.prepared import SKIPPING, PreparedImages, prepare_item, set_ranges
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.images import Pixels

Batch = dict[str, Tensor]
"""Named tensors: images are uint8, and nothing else is."""


WINDOW_STREAM = 0x57494E44
"""Distinguishes the draws of windows from those of orders, which come from the same seed."""


class Loader(ABC):
    """Batches from any step on."""

    notice: str
    """A line about images that were left out, or nothing."""

    @abstractmethod
    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end."""


def image_names(source: ImageSource) -> tuple[str, ...]:
    """Names of the images in a batch of a source."""
    return source.panels if "image" in source.domains else tuple(source.domains)


def epoch_length(source: ImageSource) -> int:
    """Rows in a pass over a source; with an image of each domain in a row, those of the largest."""
    return max(map(len, source.domains.values()))


class BatchLoader(Loader):
    """Batches of prepared images with their labels, from any step on.

    Every image is decoded once, so that a broken one is named before the first step. Where
    the prepared set fits into memory it is kept, and no worker processes are needed. Each
    batch holds images of one set.

    Args:
        source: the images.
        config: how to prepare them.
        batch_size: images per batch.
        seed: decides order and mirroring.
        round_steps: batches from one update of the slowest player to the next.
        part: the rows of a batch whose images are needed, where several processes share it.
        first_stream: distinguishes the order of the first set from that of other loaders.

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
        first_stream: int = 0,
    ) -> None:
        if not all(source.set_sizes):
            raise DataError("the data set holds no images")
        self._prepared = PreparedImages(source, config)
        self._windows = Windows(
            config.image_size, batch_size, jitter=config.jitter, seed=(seed, first_stream)
        )
        self.notice = self._prepared.notice
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
            for stream, (start, end) in enumerate(set_ranges(source), first_stream)
        ]
        self._order = JointOrder(streams, round_steps=round_steps)
        self._num_workers = 0 if self._prepared.is_cached else config.num_workers

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end.

        Yields:
            image (B, 3, H, W) uint8, and the other panels' images by their names; label (B, D)
            float32. The images are the part of the batch that was asked for, the labels always
            all of it.
        """
        loader = DataLoader(
            Rows(self._prepared, self._labels, self._part),
            batch_sampler=Steps(self._order, first_step),
            collate_fn=unchanged,
            num_workers=self._num_workers,
            prefetch_factor=4 if self._num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        for step, batch in enumerate(loader, first_step):
            yield self._windows.cut(step, batch, self._part)


class UnpairedLoader(Loader):
    """Several loaders side by side, whose images have names of their own.

    Args:
        loaders: by the name that their images get.
    """

    def __init__(self, loaders: Mapping[str, BatchLoader]) -> None:
        self._loaders = loaders
        self.notice = "; ".join(loader.notice for loader in loaders.values() if loader.notice)

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end: images by name, and a label without columns."""
        streams = [loader.batches(first_step) for loader in self._loaders.values()]
        while True:
            batches = [next(stream) for stream in streams]
            images = {n: b["image"] for n, b in zip(self._loaders, batches, strict=True)}
            yield {**images, "label": batches[0]["label"]}


class Windows:
    """Cuts the training images out of larger ones, at places drawn from (seed, step).

    Args:
        size: side of a window in pixels.
        batch_size: rows of the whole batch.
        jitter: pixels by which the images are larger.
        seed: of the draws.
    """

    def __init__(self, size: int, batch_size: int, *, jitter: int, seed: Sequence[int]) -> None:
        self._size = size
        self._shape = (batch_size, 2)
        self._jitter = jitter
        self._seed = tuple(seed)

    def cut(self, step: int, batch: Batch, part: slice) -> Batch:
        """A batch with windows in place of images; all images of an item at the same place."""
        if not self._jitter:
            return batch
        draws = np.random.default_rng([*self._seed, step, WINDOW_STREAM])
        corners = draws.integers(0, self._jitter, self._shape, endpoint=True)[part].tolist()
        return {
            name: self._cut(tensor, corners) if tensor.dtype == torch.uint8 else tensor
            for name, tensor in batch.items()
        }

    def _cut(self, image_BCHW: Tensor, corners: Sequence[tuple[int, int]]) -> Tensor:
        size = self._size
        pairs = zip(image_BCHW, corners, strict=True)
        return torch.stack([x[:, top : top + size, left : left + size] for x, (top, left) in pairs])


class Rows(Dataset[Batch]):
    """Prepared images by place, a whole batch at a time."""

    def __init__(self, prepared: PreparedImages, labels: Tensor, part: slice) -> None:
        self._prepared = prepared
        self._labels = labels
        self._part = part

    def __getitems__(self, places: Sequence[Place]) -> Batch:
        items = [self._upright_or_mirrored(place) for place in places[self._part]]
        images = _to_tensors(items, self._prepared.panels)
        return {**images, "label": self._labels[[index for index, _ in places]]}

    def _upright_or_mirrored(self, place: Place) -> Pixels:
        index, is_mirrored = place
        pixels = self._prepared.pixels(index)
        return pixels[:, :, ::-1] if is_mirrored else pixels


def to_model_range(image_BCHW: Tensor) -> Tensor:
    """Pixels in [0, 255] to float32 in [-1, 1]."""
    return levels_to_unit(image_BCHW.to(torch.float32))


def first_images(source: ImageSource, config: DataConfig, count: int) -> Batch:
    """A few images spread over a source, prepared and unmirrored, for sample grids.

    Returns:
        image (B, 3, H, W) uint8 and label (B, D) float32, of several sets in turn; panels and
        domains by their names, as many of each domain as the smallest has.

    Raises:
        DataError: an image cannot be read and is not left out, or there is no other.
    """
    if "image" in source.domains:
        return _first_of(source, config, count)
    firsts = {name: _first_of(own, config, count) for name, own in source.domains.items()}
    least = min(len(first["label"]) for first in firsts.values())
    images = {name: first["image"][:least] for name, first in firsts.items()}
    return {**images, "label": torch.zeros(least, 0)}


def all_images(source: ImageSource, config: DataConfig, *, batch_size: int) -> Iterator[Batch]:
    """All images of a source in order, prepared and unmirrored, `batch_size` at a time.

    Yields:
        As `first_images`; of several domains the images of one after those of another.

    Raises:
        DataError: an image cannot be read and is not left out.
    """
    for name, own in source.domains.items():
        items = _readable(own, config, range(len(own)))
        while some := list(islice(items, batch_size)):
            batch = _batch_of(own, some)
            yield batch if name == "image" else {name: batch["image"], "label": batch["label"]}


def _first_of(source: ImageSource, config: DataConfig, count: int) -> Batch:
    order = spread_order(source.set_sizes, count)
    some = list(islice(_readable(source, config, order), count))
    if not some:
        raise DataError(f"no image of {source.description} can be read")
    return _batch_of(source, some)


def _readable(
    source: ImageSource, config: DataConfig, indices: Iterable[int]
) -> Iterator[tuple[int, Pixels]]:
    """Indices and prepared items, without those that cannot be read if they may be left out."""
    for index in indices:
        try:
            pixels = prepare_item(source, index, config, config.image_size)
        except ImageError as error:
            if not config.skip_broken:
                raise DataError(str(error), hint=SKIPPING) from error
        else:
            yield index, pixels


def _batch_of(source: ImageSource, items: Sequence[tuple[int, Pixels]]) -> Batch:
    rows, images = zip(*items, strict=True)
    return {
        **_to_tensors(images, source.panels),
        "label": torch.from_numpy(source.labels[list(rows)]),
    }


def _to_tensors(items: Sequence[Pixels], names: Sequence[str]) -> Batch:
    """Several items (P, H, W, 3) as a tensor (B, 3, H, W) uint8 for each panel."""
    stacked = np.stack(items).transpose(1, 0, 4, 2, 3)
    panels = zip(names, stacked, strict=True)
    return {name: torch.from_numpy(np.ascontiguousarray(panel)) for name, panel in panels}


def unchanged(batch: Any) -> Any:
    """A batch that the data set has put together already."""
    return batch
