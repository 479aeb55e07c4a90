"""Reading the official code's checkpoints (`100000_nets_ema.ckpt`, `100000_nets.ckpt`).

Both are a dictionary of state dicts by network: generator, mapping network and style encoder, in
`nets` the discriminator too, and with a high-pass skip `fan`, a network that finds landmarks in
faces. All sizes are read off the weights; the names of the domains are not among them.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from stargan_deploy.card.labels import LabelSpace, onehot_space
from stargan_deploy.errors import LabelError, ModelError, UsageError, first_names
from stargan_deploy.families.base import OfficialOptions, check_finite
from stargan_deploy.families.foreign_file import read_foreign
from stargan_deploy.families.stargan_v2.networks import (
    LAST_SIDE,
    StarGANv2Network,
    generator_halvings,
)
from stargan_deploy.files.atomic import file_sha256

SUFFIXES = (".ckpt", ".pth", ".pt")

NEEDED = ("generator", "mapping_network", "style_encoder")
"""Networks that every such file holds."""

DISCRIMINATOR, LANDMARKS = "discriminator", "fan"

USUAL_W_HPF = 1.0
"""The official value for CelebA-HQ, for files that do not hold the filter."""

FILTER_CENTRE = 8.0
"""Middle of the high-pass filter before it is divided by `w_hpf`."""

MAX_NAMED = 8

State = dict[str, Tensor]

_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OfficialModel:
    """The content of an official file."""

    network: StarGANv2Network
    states: Mapping[str, State]
    """State dicts by role."""
    labels: LabelSpace
    notes: tuple[str, ...]
    """Lines about what is left out."""
    parents: Mapping[str, str]
    """SHA-256 of the files, by what they are."""


def holds_networks(content: Any) -> bool:
    """Whether a file's content is networks of StarGAN v2."""
    return isinstance(content, Mapping) and all(
        isinstance(content.get(role), Mapping) for role in NEEDED
    )


def read_model(path: Path, options: OfficialOptions) -> OfficialModel:
    """Read the networks of an official file, and its discriminator there or in the file given.

    Raises:
        ModelError: not such a file, or weights of an unknown shape.
        LabelError: the number of names is not the number of domains.
        UsageError: an image size that contradicts the weights, or options for attributes.
    """
    content = _read(path)
    states = {role: _state(path, content[role]) for role in NEEDED}
    parents = {"official networks": file_sha256(path)}
    discriminator = _discriminator(path, content, options)
    if discriminator is not None:
        where, states[DISCRIMINATOR] = discriminator
        if where != path:
            parents["official discriminator"] = file_sha256(where)
            _log.info("discriminator: %s, which lies next to the averaged networks", where)
    network = _network(path, states)
    if options.image_size not in (None, network.image_size):
        raise UsageError(
            f"`image_size` {options.image_size} contradicts {path}, which takes images of "
            f"{network.image_size}x{network.image_size}"
        )
    return OfficialModel(
        network=network,
        states=_with_filter(states, network),
        labels=_labels(path, options, network.num_domains),
        notes=_left_out(content),
        parents=parents,
    )


def networks_beside(path: Path) -> Path | None:
    """`100000_nets.ckpt` in the folder of a `100000_nets_ema.ckpt`, if there is one."""
    other = path.with_name(path.name.replace("_nets_ema", "_nets"))
    return other if other != path and other.is_file() else None


def _read(path: Path) -> Mapping[str, Any]:
    content = read_foreign(path, "an official StarGAN v2 checkpoint")
    if holds_networks(content):
        return dict(content)
    keys = list(map(str, content)) if isinstance(content, Mapping) else []
    held = first_names(keys, MAX_NAMED) if keys else f"a {type(content).__name__}"
    raise ModelError(
        f"{path} does not hold StarGAN v2's {', '.join(NEEDED[:-1])} and {NEEDED[-1]}; it holds "
        f"{held}",
        hint="give 100000_nets_ema.ckpt of a StarGAN v2 training",
    )


def _state(path: Path, table: Mapping[Any, Any]) -> State:
    """The weights of one network in FP32, under the official names.

    Raises:
        ModelError: they are not finite.
    """
    state = {
        _WRAPPERS.sub("", str(name)): value.float().contiguous()
        for name, value in table.items()
        if isinstance(value, Tensor)
    }
    check_finite(path, state)
    return state


def _discriminator(
    path: Path, content: Mapping[str, Any], options: OfficialOptions
) -> tuple[Path, State] | None:
    """The file that holds the discriminator, and its weights."""
    if options.discriminator_path is None and DISCRIMINATOR in content:
        return path, _state(path, content[DISCRIMINATOR])
    where = options.discriminator_path or networks_beside(path)
    if where is None:
        return None
    found = _read(where)
    if DISCRIMINATOR not in found:
        raise ModelError(f"{where} holds no discriminator")
    return where, _state(where, found[DISCRIMINATOR])


def _network(path: Path, states: Mapping[str, State]) -> StarGANv2Network:
    """All sizes, read off the weights.

    Raises:
        ModelError: these are no weights of StarGAN v2.
    """
    generator, mapping, encoder = (states[role] for role in NEEDED)
    try:
        num_blocks = _count(generator, r"encode\.(\d+)\.conv1\.weight")
        num_pyramid = _count(encoder, r"shared\.(\d+)\.conv1\.weight")
        image_size = LAST_SIDE * 2**num_pyramid
        last = encoder[f"shared.{num_pyramid + 2}.weight"]
        network = StarGANv2Network(
            image_size=image_size,
            num_domains=_count(mapping, r"unshared\.(\d+)\.0\.weight"),
            conv_dim=generator["from_rgb.weight"].shape[0],
            max_conv_dim=last.shape[0],
            style_width=encoder["unshared.0.weight"].shape[0],
            latent_width=mapping["shared.0.weight"].shape[1],
            mapping_width=mapping["shared.0.weight"].shape[0],
            has_discriminator=DISCRIMINATOR in states,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"{path} holds no weights of StarGAN v2: {error} is not as in its networks"
        ) from error
    num_skips = num_blocks - 2 - generator_halvings(image_size, has_skip=False)
    if num_skips not in (0, 1):
        raise ModelError(
            f"{path}: a generator with {num_blocks} blocks does not belong to a style encoder for "
            f"images of {image_size}x{image_size}"
        )
    return replace(network, w_hpf=_w_hpf(path, generator)) if num_skips else network


def _w_hpf(path: Path, generator: State) -> float:
    """The divisor of the high-pass filter."""
    kernel = generator.get("hpf.filter")
    if kernel is not None:
        return FILTER_CENTRE / float(kernel[1, 1])
    _log.warning(
        "%s does not hold the filter of its high-pass skip: w_hpf is taken to be %g, the official "
        "value for CelebA-HQ",
        path,
        USUAL_W_HPF,
    )
    return USUAL_W_HPF


def _with_filter(states: Mapping[str, State], network: StarGANv2Network) -> dict[str, State]:
    """The weights with the skip's filter, which old files do not hold."""
    generator = states["generator"]
    if not network.w_hpf or "hpf.filter" in generator:
        return dict(states)
    from stargan_deploy.families.stargan_v2.networks import HighPass

    own = HighPass(network.w_hpf).filter
    return {**states, "generator": {**generator, "hpf.filter": own}}


def _count(state: State, pattern: str) -> int:
    """Number of the layers of a pattern."""
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})


def _labels(path: Path, options: OfficialOptions, num_domains: int) -> LabelSpace:
    if options.exclusive:
        raise UsageError("`exclusive` groups attributes; of domains an image has one anyway")
    names = (*options.names, *options.domain_names)
    if len(names) != num_domains:
        raise LabelError(
            f"{path} was trained with {num_domains} domains, but {len(names)} names were given "
            f"({', '.join(names)})",
            hint="name all of them, in the order of its training: that of the folders' names",
        )
    return onehot_space(names)


def _left_out(content: Mapping[str, Any]) -> tuple[str, ...]:
    """What of a file has no place in a model of ours, in words."""
    if LANDMARKS not in content:
        return ()
    return (
        "the file's landmark network was left out: its weights do not tell how landmarks become "
        "the heat maps mask_0 and mask_1, which are inputs here; with zeros the high-pass skip "
        "adds nothing, and less of the photo's fine detail is kept",
    )
