"""Chooses the loader that fits a source and what a training needs of it."""

from stargan_deploy.data.batches.loading import BatchLoader, Loader, UnpairedLoader
from stargan_deploy.data.batches.references import ReferenceLoader
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.source import ImageSource


def open_loader(
    source: ImageSource,
    config: DataConfig,
    *,
    batch_size: int,
    seed: int,
    round_steps: int = 1,
    part: slice = slice(None),
    with_references: bool = False,
) -> Loader:
    """The loader that fits a source.

    Args:
        source: the images.
        config: how to prepare them.
        batch_size: images per batch.
        seed: decides order and mirroring.
        round_steps: batches from one update of the slowest player to the next.
        part: the rows of a batch whose images are needed, where several processes share it.
        with_references: whether each image comes with two references of a domain.
    """
    if with_references:
        return ReferenceLoader(source, config, batch_size=batch_size, seed=seed, part=part)
    loaders = {
        name: BatchLoader(
            own,
            config,
            batch_size=batch_size,
            seed=seed,
            round_steps=round_steps,
            part=part,
            first_stream=stream,
        )
        for stream, (name, own) in enumerate(source.domains.items())
    }
    return loaders["image"] if "image" in loaders else UnpairedLoader(loaders)
