"""Finds StarGAN's networks in a file, however a training has wrapped them.

Weights may be the file's content itself or stand one level or two below it (`state_dict`, `G`,
`model/generator`), under prefixes of `DataParallel` (`module.`), `torch.compile` (`_orig_mod.`) or
of a joint module (`G.`, `generator.`), in any order. What a network is shows in its layers.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stargan_deploy.errors import ModelError, first_names
from stargan_deploy.families.base import check_finite
from stargan_deploy.families.foreign_file import read_foreign

RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Running statistics that the official code keeps and never uses."""

MAX_DEPTH = 2
"""Levels of nested dictionaries below the file's content."""

MAX_NAMED = 8
"""Keys that a message lists."""

Role = Literal["generator", "discriminator"]
State = dict[str, Tensor]

_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")
_KEY = re.compile(r"(?P<prefix>(?:.*?\.)??)(?P<key>(?:main\.\d+|conv[12])\..+)")
_AVERAGED = re.compile(r"ema|averag|shadow|swa", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FoundNetwork:
    """The weights of one network."""

    role: Role
    place: str
    """Where they stand in the file: "state_dict/G"; empty for the file itself."""
    weights: State
    """In FP32, under the official names, without running statistics."""

    @property
    def is_averaged(self) -> bool:
        """Whether its name says that it holds a moving average."""
        return bool(_AVERAGED.search(self.place))


def networks_in(path: Path) -> list[FoundNetwork]:
    """All networks of StarGAN in a file; of equal roles, averaged weights come first.

    Raises:
        ModelError: there is no such file, or none of them is in it; the message lists its keys.
    """
    content = read_foreign(path, "an official StarGAN checkpoint")
    found = networks_of(content)
    if not found:
        raise ModelError(
            f"{path} does not hold an official StarGAN generator or discriminator; it holds "
            f"{_keys_of(content)}"
        )
    return found


def networks_of(content: Any) -> list[FoundNetwork]:
    """All networks of StarGAN in a file's content; of equal roles, averaged weights come first."""
    found = [network for place, table in _tables(content) for network in _networks(place, table)]
    return sorted(found, key=lambda network: not network.is_averaged)


def pick_network(path: Path, found: list[FoundNetwork], role: Role) -> FoundNetwork:
    """The first network of a role.

    Raises:
        ModelError: there is none, or its weights are not finite.
    """
    for network in found:
        if network.role == role:
            check_finite(path, network.weights)
            return network
    there = ", ".join(sorted({network.role for network in found}))
    raise ModelError(
        f"{path} does not hold an official StarGAN {role}, but a {there}; it holds "
        f"{_keys_of(found[0].weights)}"
    )


def _tables(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dictionaries in a file, the outer ones first."""
    if not isinstance(content, Mapping):
        return
    table = {str(key): value for key, value in content.items()}
    yield place, table
    if depth < MAX_DEPTH:
        for key, value in table.items():
            yield from _tables(value, f"{place}/{key}" if place else key, depth + 1)


def _networks(place: str, table: Mapping[str, Any]) -> Iterator[FoundNetwork]:
    """The networks whose weights stand in one dictionary, apart by their prefix."""
    by_prefix = defaultdict[str, State](dict)
    for name, value in table.items():
        match = _KEY.fullmatch(_WRAPPERS.sub("", name))
        weight = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        if match and isinstance(weight, Tensor) and not name.endswith(RUNNING_STATISTICS):
            by_prefix[match["prefix"].rstrip(".")][match["key"]] = weight.float().contiguous()
    for prefix, weights in by_prefix.items():
        role = _role(weights)
        if role:
            where = "/".join(part for part in (place, prefix) if part)
            yield FoundNetwork(role=role, place=where, weights=weights)


def _role(weights: State) -> Role | None:
    first = weights.get("main.0.weight")
    if first is None or first.ndim != 4:
        return None
    if "conv2.weight" in weights and weights["conv2.weight"].ndim == 4:
        return "discriminator"
    is_generator = first.shape[1] > 3 and "conv1.weight" not in weights
    return "generator" if is_generator else None


def _keys_of(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"an object of type {type(content).__name__}"
    keys = list(map(str, content))
    for value in content.values():
        if isinstance(value, Mapping) and value:
            keys += [f"{next(k for k, v in content.items() if v is value)}/{next(iter(value))}"]
    return first_names(keys, MAX_NAMED) or "nothing"
