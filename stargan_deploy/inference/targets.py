"""The wishes of a batch, each with the folder that its pictures go to."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from stargan_deploy.card.labels import LabelSpace, Target
from stargan_deploy.errors import UsageError

MAX_FOLDER_BYTES = 100
"""File systems allow 255 bytes a name; this leaves room and stays readable."""

RESERVED_STEM = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending."""


@dataclass(frozen=True, kw_only=True)
class NamedTarget:
    """A wish and its folder."""

    folder: str
    """A name that is safe on every file system and unlike the other targets' in any case."""
    target: Target


def name_targets(space: LabelSpace, words: Sequence[str]) -> tuple[NamedTarget, ...]:
    """Parses wishes such as `Blond_Hair,Young` or `-Male` and names a folder for each.

    Raises:
        UsageError: no wish at all, or the same one twice.
        LabelError: a wish that the model cannot fulfil.
    """
    if not words:
        raise UsageError(
            f"name at least one target with --attrs; this model knows: {', '.join(space.names)}"
        )
    named: list[NamedTarget] = []
    for word in words:
        target = space.parse(word)
        twin = next((n.target.text for n in named if n.target.wishes == target.wishes), None)
        if twin is not None:
            raise UsageError(f"targets {twin!r} and {word!r} ask for the same; name it once")
        folder = _unlike(folder_name(target), {n.folder.casefold() for n in named})
        named.append(NamedTarget(folder=folder, target=target))
    return tuple(named)


def only_target(space: LabelSpace, direction: str, words: Sequence[str]) -> NamedTarget:
    """What a model without labels makes of every photo.

    Raises:
        UsageError: a wish, which such a model cannot be given.
    """
    assert not space.sets
    if words:
        raise UsageError(f"this model takes no labels, so --attrs {words[0]} means nothing to it")
    return NamedTarget(folder=direction, target=Target(text=direction, set_index=0, wishes={}))


def folder_name(target: Target) -> str:
    """A folder name for a wish: `Blond_Hair`, `not-Male`, `flip-Smiling`, `Blond_Hair+Young`."""
    prefixes = {"on": "", "off": "not-", "flip": "flip-"}
    words = [prefixes[wish] + name for name, wish in target.wishes.items()]
    text = unicodedata.normalize("NFC", "+".join(words))
    text = re.sub(r"[^\w.+-]", "-", text).strip(".")
    text = text.encode()[:MAX_FOLDER_BYTES].decode(errors="ignore").rstrip(".") or "target"
    return f"{text}_" if RESERVED_STEM.fullmatch(text) else text


def depends_on_source(space: LabelSpace, target: Target) -> bool:
    """Whether a target's label vector differs between images with different labels."""
    bare = space.target_vector(target, np.zeros(space.num_labels, np.float32))
    full = space.target_vector(target, np.ones(space.num_labels, np.float32))
    return not np.array_equal(bare, full)


def _unlike(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)
