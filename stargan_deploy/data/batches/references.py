"""Batches of images with references of other domains, each domain equally often.

Shape legend: B batch, C channels, H height, W width, D domains.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from stargan_deploy.data.batches.loading import Batch, Loader, Rows, Windows, unchanged
from stargan_deploy.data.batches.order import BalancedOrder, Place, RowOrder, Steps
from stargan_deploy.data.batches.prepared import PreparedImages
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import ImageSource
from stargan_deploy.errors import DataError

NAMES = ("image", "reference", "reference_2")
"""Names of the images of a row."""

IMAGES, REFERENCES = 0, 1
"""Streams of the domains: those of the images, and those of both references."""


class ReferenceLoader(Loader):
    """Batches of images, each with two references of one domain, from any step on.

    Images and references come in orders of their own, which have all domains equally often.

    Args:
        source: images of one-hot domains.
        config: how to prepare them.
        batch_size: images per batch.
        seed: decides order and mirroring.
        part: the rows of a batch whose images are needed, where several processes share it.

    Raises:
        DataError: images that cannot be read, with their names, or a domain without images.
    """

    def __init__(
        self,
        source: ImageSource,
        config: DataConfig,
        *,
        batch_size: int,
        seed: int,
        part: slice = slice(None),
    ) -> None:
        self._prepared = PreparedImages(source, config)
        self.notice = self._prepared.notice
        self._labels = torch.from_numpy(source.labels)
        self._rows = range(batch_size)[part]
        self._batch_size = batch_size
        domains = _by_domain(source, self._prepared)
        self._order = RowOrder(
            [
                BalancedOrder(
                    domains,
                    batch_size=batch_size,
                    seed=seed,
                    flip=config.flip,
                    stream=stream,
                    domain_stream=min(stream, REFERENCES),
                )
                for stream in range(len(NAMES))
            ]
        )
        self._windows = [
            Windows(config.image_size, batch_size, jitter=config.jitter, seed=(seed, stream))
            for stream in range(len(NAMES))
        ]
        self._num_workers = 0 if self._prepared.is_cached else config.num_workers

    def batches(self, first_step: int) -> Iterator[Batch]:
        """Batches from a step on, without end.

        Yields:
            image, reference and reference_2 (B, 3, H, W) uint8, the part of the batch that was
            asked for; label and reference_label (B, D) float32, always all of it.
        """
        loader = DataLoader(
            _ReferenceRows(self._prepared, self._labels, self._rows, self._batch_size),
            batch_sampler=Steps(self._order, first_step),
            collate_fn=unchanged,
            num_workers=self._num_workers,
            prefetch_factor=4 if self._num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        part = slice(self._rows.start, self._rows.stop)
        for step, batch in enumerate(loader, first_step):
            cut = {
                name: windows.cut(step, {name: batch[name]}, part)[name]
                for name, windows in zip(NAMES, self._windows, strict=True)
            }
            yield {**batch, **cut}


class _ReferenceRows(Rows):
    """Prepared images by place, those of a batch followed by both of its references."""

    def __init__(
        self, prepared: PreparedImages, labels: torch.Tensor, rows: range, batch_size: int
    ) -> None:
        super().__init__(prepared, labels, slice(rows.start, rows.stop))
        self._batch_size = batch_size

    def __getitems__(self, places: Sequence[Place]) -> Batch:
        size = self._batch_size
        parts = [
            super(_ReferenceRows, self).__getitems__(places[start : start + size])
            for start in range(0, len(places), size)
        ]
        images = {name: part["image"] for name, part in zip(NAMES, parts, strict=True)}
        return {**images, "label": parts[0]["label"], "reference_label": parts[1]["label"]}


def _by_domain(source: ImageSource, prepared: PreparedImages) -> list[list[int]]:
    """The index of the readable images of each domain.

    Raises:
        DataError: a domain has none.
    """
    broken = set(prepared.broken_of(0, len(source)))
    names, label_ND = source.label_space.names, source.labels
    domains = [[int(i) for i in np.flatnonzero(column) if i not in broken] for column in label_ND.T]
    empty = [name for name, images in zip(names, domains, strict=True) if not images]
    if empty:
        raise DataError(f"{source.description} has no readable image of {', '.join(empty)}")
    return domains
