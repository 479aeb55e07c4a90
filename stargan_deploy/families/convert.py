"""Turns official checkpoints into ours."""

import dataclasses
from pathlib import Path

from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import ModelError, StarganDeployError, UsageError
from stargan_deploy.families.base import Checkpoint, OfficialOptions
from stargan_deploy.families.checkpoint import (
    load_checkpoint,
    read_card,
    save_checkpoint,
    signed_card,
)
from stargan_deploy.families.registry import DEFAULT_FAMILY, load_family, official_families


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversion:
    """A checkpoint of ours that was made from an official one."""

    card: ModelCard
    was_there: bool = False
    """Whether it was there already, so that nothing was written."""
    replaced: str = ""
    """Description of the replaced file; empty where there was none."""


def convert_official(
    path: Path,
    out: Path,
    options: OfficialOptions,
    *,
    family: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a checkpoint of ours from one of the original authors' code.

    Args:
        path: the official checkpoint; of several networks the generator's.
        out: where the checkpoint goes. Where it is there already, nothing is written.
        options: what the official checkpoint does not say about itself.
        family: the family of the model; None finds it out.
        overwrite: whether another file there may be replaced.

    Returns:
        The card as written.

    Raises:
        ModelError, LabelError, UsageError: as `Family.read_official`, and
        UsageError: another file is there already, or the place is no checkpoint's.
        OutputError: the checkpoint cannot be written.
    """
    _check_place(out)
    # A file of no family is read as the default one's, which says what is wrong with it.
    owner = family or next(iter(official_families(path)), DEFAULT_FAMILY)
    content = load_family(owner).read_official(path, options)
    held = _held(out) if out.exists() else ""
    if held and _is_same(out, content):
        return Conversion(card=read_card(out), was_there=True)
    if held and not overwrite:
        raise UsageError(
            f"{out} is there already and holds {held}",
            hint="replace it with `overwrite`, or choose another `out`",
        )
    card = save_checkpoint(out, content.card, content.tensors)
    return Conversion(card=card, replaced=held)


def _check_place(out: Path) -> None:
    """Refuse places where no command would find the checkpoint."""
    if out.is_dir():
        raise UsageError(
            f"{out} is a folder", hint=f"name a file in it: {out / 'model.safetensors'}"
        )
    if out.suffix != ".safetensors":
        raise UsageError(f"`out` {out} must end in .safetensors")


def _held(out: Path) -> str:
    """Describe the content of a file."""
    try:
        card = read_card(out)
    except ModelError:
        return "no checkpoint of stargan-deploy"
    size, names = card.preprocessing.image_size, ", ".join(card.labels.names)
    return f"a {card.family} model of {size}x{size}, step {card.step}, labels {names}"


def _is_same(out: Path, content: Checkpoint) -> bool:
    """Whether a file holds this very checkpoint, whatever versions wrote it."""
    try:
        found = load_checkpoint(out).card
    except StarganDeployError:
        return False
    wanted = signed_card(content.card, content.tensors, out.name)
    return dataclasses.replace(found, versions={}) == dataclasses.replace(wanted, versions={})
