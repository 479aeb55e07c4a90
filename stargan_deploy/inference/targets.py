"""The targets of a batch, each with the folder that its images go to."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from stargan_deploy.card.labels import LabelSpace, Target
from stargan_deploy.errors import UsageError

MAX_FOLDER_BYTES = 100
"""File systems allow 255 bytes per name; this leaves room and stays readable."""

RESERVED_STEM = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices, with any ending."""


MAX_STRENGTH = 1.5
"""Furthest beyond the target that an image may be translated."""


def check_strength(strength: float) -> None:
    """Refuses a strength out of range.

    Raises:
        UsageError: it is below 0 or above `MAX_STRENGTH`.
    """
    if not 0 <= strength <= MAX_STRENGTH:
        raise UsageError(f"`strength` must be from 0 to {MAX_STRENGTH}, not {strength:g}")


@dataclass(frozen=True, kw_only=True)
class NamedTarget:
    """A target and its folder."""

    folder: str
    """A name that is safe on every file system and unique among the targets, ignoring case."""
    target: Target


def name_targets(space: LabelSpace, words: Sequence[str]) -> tuple[NamedTarget, ...]:
    """Parses targets like `Blond_Hair,Young` or `-Male` and names a folder for each.

    Raises:
        UsageError: no target at all, or the same one twice.
        LabelError: a target that the model does not know.
    """
    if not words:
        raise UsageError(
            "name at least one target with `targets`",
            hint=f"this model knows: {', '.join(space.names)}",
        )
    named: list[NamedTarget] = []
    for word in words:
        target = space.parse(word)
        twin = next((n.target.text for n in named if n.target.changes == target.changes), None)
        if twin is not None:
            raise UsageError(f"targets {twin!r} and {word!r} mean the same", hint="name it once")
        folder = unlike(folder_name(target), {n.folder.casefold() for n in named})
        named.append(NamedTarget(folder=folder, target=target))
    return tuple(named)


def only_target(space: LabelSpace, direction: str, words: Sequence[str]) -> NamedTarget:
    """The target of a model without labels.

    Raises:
        UsageError: a target in words, which such a model does not take.
    """
    assert not space.sets
    if words:
        raise UsageError(f"this model takes no labels, so `targets` {words[0]} means nothing to it")
    return NamedTarget(folder=direction, target=Target(text=direction, set_index=0, changes={}))


def folder_name(target: Target) -> str:
    """A folder name for a target: `Blond_Hair`, `not-Male`, `flip-Smiling`, `Blond_Hair+Young`."""
    prefixes = {"on": "", "off": "not-", "flip": "flip-"}
    words = [prefixes[change] + name for name, change in target.changes.items()]
    return safe_name("+".join(words))


def safe_name(text: str) -> str:
    """A name for a folder that is safe on every file system."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[^\w.+-]", "-", text).strip(".")
    text = text.encode()[:MAX_FOLDER_BYTES].decode(errors="ignore").rstrip(".") or "target"
    return f"{text}_" if RESERVED_STEM.fullmatch(text) else text


def depends_on_source(space: LabelSpace, target: Target) -> bool:
    """Whether a target's label vector differs between images with different labels."""
    bare = space.target_vector(target, np.zeros(space.num_labels, np.float32))
    full = space.target_vector(target, np.ones(space.num_labels, np.float32))
    return not np.array_equal(bare, full)


def unlike(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)
