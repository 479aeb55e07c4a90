"""Opening data as a training does, in one call."""

from pathlib import Path

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import open_source, recognise


def opened(kind, root, *, attributes=(), split="train", scheme="official"):
    """One split of a data set."""
    config = DataConfig(kind=kind, root=str(root), attributes=attributes, split=scheme)
    return open_source(config, split)


def layout_of(config):
    """Name of the layout that a training takes for a folder."""
    return recognise(Path(config.root), automatic=True).name
