"""Turns official checkpoints into ours."""

from pathlib import Path

from stargan_deploy.card.card import ModelCard
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import save_checkpoint
from stargan_deploy.families.registry import DEFAULT_FAMILY, load_family


def convert_official(
    path: Path, out: Path, options: OfficialOptions, *, family: str = DEFAULT_FAMILY
) -> ModelCard:
    """Write a checkpoint of ours from one of the original authors' code.

    Args:
        path: the official checkpoint; of several networks the generator's.
        out: where the checkpoint goes.
        options: what the official checkpoint does not say about itself.
        family: the family of the model.

    Returns:
        The card as written.

    Raises:
        ModelError, LabelError, UsageError: as `Family.read_official`.
        OutputError: the checkpoint cannot be written.
    """
    content = load_family(family).read_official(path, options)
    return save_checkpoint(out, content.card, content.tensors)
