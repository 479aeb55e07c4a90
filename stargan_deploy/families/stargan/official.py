"""Reading the official code's checkpoints (`200000-G.ckpt`, `200000-D.ckpt`).

Three formats are in circulation: zip archives, older pickles, and state dicts of 2018 without
`num_batches_tracked`. All hold instance norm's running statistics, which the official code never
uses, because it never leaves training mode: they are dropped here.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import LabelError, ModelError, UsageError
from stargan_deploy.families.base import UNNAMED, OfficialOptions
from stargan_deploy.families.stargan.networks import StarGANNetwork
from stargan_deploy.families.stargan.networks_in import (
    FoundNetwork,
    State,
    networks_in,
    pick_network,
)
from stargan_deploy.files.atomic import file_sha256

SUFFIXES = (".ckpt", ".pth", ".pt", ".tar")

CROP_SIZE = 178
"""The official code's crop of CelebA photos (178x218), in pixels."""

IMAGE_SIZE = 128
"""The official code's default image size in pixels."""

RAFD_CROP_SIZE = 256
"""The official code's crop of RaFD photos, in pixels."""

NUM_SETS = 2
"""Data sets of a joint training, and so entries of its mask."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OfficialModel:
    """The content of an official generator and, if given, discriminator."""

    network: StarGANNetwork
    states: Mapping[str, State]
    """State dicts by role."""
    labels: LabelSpace
    parents: Mapping[str, str]
    """SHA-256 of the files, by what they are."""


def read_model(generator_path: Path, options: OfficialOptions) -> OfficialModel:
    """Read an official generator with its discriminator: that given, or in the file, or beside it.

    Raises:
        ModelError: a file that is not an official checkpoint, or weights of an unknown shape.
        LabelError: the number of names is not the number of the generator's labels.
        UsageError: an image size that contradicts the discriminator.
    """
    found = networks_in(generator_path)
    generator = pick_network(generator_path, found, "generator")
    _say_what_is_taken(generator_path, generator, found)
    label_width, conv_dim, num_blocks = generator_shape(generator.weights, generator_path)
    path, discriminator = _discriminator(generator_path, found, options)
    labels = _label_space(options, label_width, generator_path, discriminator)
    network = StarGANNetwork(
        label_width=label_width,
        num_labels=labels.num_labels,
        image_size=options.image_size or IMAGE_SIZE,
        generator_conv_dim=conv_dim,
        generator_blocks=num_blocks,
        discriminator_layers=0,
    )
    states = {"generator": generator.weights}
    parents = {"official generator": file_sha256(generator_path)}
    if discriminator is not None:
        network = _with_discriminator(network, discriminator, path, options)
        states["discriminator"] = discriminator
        if path != generator_path:
            parents["official discriminator"] = file_sha256(path)
    return OfficialModel(network=network, states=states, labels=labels, parents=parents)


def _discriminator(
    generator_path: Path, found: list[FoundNetwork], options: OfficialOptions
) -> tuple[Path, State | None]:
    """The discriminator's weights, if there are any, and their file."""
    path = options.discriminator_path
    if path is None and not any(network.role == "discriminator" for network in found):
        path = discriminator_beside(generator_path)
        if path is None:
            return generator_path, None
        _log.info("discriminator: %s, which lies next to the generator", path)
    others = found if path is None else networks_in(path)
    path = path or generator_path
    discriminator = pick_network(path, others, "discriminator")
    _say_what_is_taken(path, discriminator, others)
    return path, discriminator.weights


def _say_what_is_taken(path: Path, taken: FoundNetwork, found: list[FoundNetwork]) -> None:
    others = [each.place or "the top level" for each in found if each.role == taken.role]
    if not taken.place and len(others) == 1:
        return
    averaged = ", the averaged weights" if taken.is_averaged else ""
    left = [place for place in others if place != (taken.place or "the top level")]
    rest = f"; left out: {', '.join(left)}" if left else ""
    where = taken.place or "the top level"
    _log.info("%s: took the %s from %s%s%s", path.name, taken.role, where, averaged, rest)


_PARTNERS = (
    ("generator", "discriminator"),
    ("Generator", "Discriminator"),
    ("netG", "netD"),
    (r"(?<![A-Za-z])G(?![A-Za-z])", "D"),
    (r"(?<![A-Za-z])gen(?![A-Za-z])", "dis"),
)
"""Parts of a generator's file name, and what a discriminator has in their place."""


def discriminator_beside(generator_path: Path) -> Path | None:
    """`200000-D.ckpt` in the folder of a `200000-G.ckpt`, if there is one."""
    for own, partner in _PARTNERS:
        path = generator_path.with_name(re.sub(own, partner, generator_path.name))
        if path != generator_path and path.is_file():
            return path
    return None


def official_crop(options: OfficialOptions) -> int:
    """Side of the official code's centre crop in pixels: RaFD's for domains alone."""
    only_domains = options.domains or (options.domain_names and not options.names)
    return RAFD_CROP_SIZE if only_domains else CROP_SIZE


def generator_shape(state: State, path: Path) -> tuple[int, int, int]:
    """Read (label width, conv_dim, number of residual blocks) off a generator's weights.

    Raises:
        ModelError: these are not a generator's weights.
    """
    first = state.get("main.0.weight")
    blocks = {m[1] for key in state if (m := re.fullmatch(r"main\.(\d+)\.main\.0\.weight", key))}
    if first is None or first.ndim != 4 or first.shape[1] <= 3 or "conv1.weight" in state:
        raise ModelError(f"{path} does not hold an official StarGAN generator")
    return first.shape[1] - 3, first.shape[0], len(blocks)


def discriminator_shape(state: State, path: Path) -> tuple[int, int, int, int]:
    """Read (number of labels, conv_dim, number of layers, image size) off a discriminator.

    Raises:
        ModelError: these are not a discriminator's weights.
    """
    first, head = state.get("main.0.weight"), state.get("conv2.weight")
    if first is None or head is None or first.ndim != 4 or head.ndim != 4:
        raise ModelError(f"{path} does not hold an official StarGAN discriminator")
    num_layers = sum(1 for key in state if re.fullmatch(r"main\.\d+\.weight", key))
    return head.shape[0], first.shape[0], num_layers, head.shape[2] * 2**num_layers


def _label_space(
    options: OfficialOptions, label_width: int, path: Path, discriminator: State | None
) -> LabelSpace:
    """The labels in the generator's order; of a joint training with the mask at the end."""
    attributes, domains = options.names, options.domain_names
    space = _single_space(options) if not (attributes and domains) else _joint_space(options)
    if space.label_width == label_width:
        return space
    given = ", ".join((*attributes, *domains))
    names = len(attributes) + len(domains)
    hint = "name all of them, in the order of its training"
    is_joint = discriminator is not None and discriminator["conv2.weight"].shape[0] == (
        label_width - NUM_SETS
    )
    if options.unnamed:
        return _unnamed_space(label_width, is_joint=is_joint)
    if is_joint:
        hint = (
            f"it was trained jointly (--dataset Both): name its {label_width - NUM_SETS} labels, "
            "those of CelebA as `attributes` and those of RaFD as `domains`"
        )
    elif space.is_joint:
        hint = f"with both kinds, {label_width - NUM_SETS} names are needed, and a mask of two"
    raise LabelError(
        f"{path} was trained with {label_width} labels, but {names} names were given ({given})",
        hint=hint,
    )


def _unnamed_space(label_width: int, *, is_joint: bool) -> LabelSpace:
    names = [f"{UNNAMED} {number}" for number in range(1, label_width + 1)]
    if not is_joint:
        return multilabel_space(names)
    attributes, domains = multilabel_space(names[: -NUM_SETS - 1]), onehot_space(names[-1:])
    return LabelSpace(sets=(*attributes.sets, *domains.sets))


def _single_space(options: OfficialOptions) -> LabelSpace:
    if options.domain_names or options.domains:
        if options.exclusive:
            raise UsageError("`exclusive` groups attributes; of domains an image has one anyway")
        return onehot_space(options.domain_names or options.names)
    return multilabel_space(options.names, exclusive=tuple(map(tuple, options.exclusive)))


def _joint_space(options: OfficialOptions) -> LabelSpace:
    """CelebA's attributes, then RaFD's domains, as the official code joins them."""
    attributes = multilabel_space(options.names, exclusive=tuple(map(tuple, options.exclusive)))
    domains = onehot_space(options.domain_names, name="rafd")
    return LabelSpace(sets=(*attributes.sets, *domains.sets))


def _with_discriminator(
    network: StarGANNetwork, state: State, path: Path, options: OfficialOptions
) -> StarGANNetwork:
    num_labels, conv_dim, num_layers, image_size = discriminator_shape(state, path)
    if num_labels != network.num_labels:
        raise ModelError(
            f"{path} classifies {num_labels} labels, but the generator takes {network.num_labels}; "
            "they do not belong together"
        )
    if options.image_size not in (None, image_size):
        raise UsageError(
            f"`image_size` {options.image_size} contradicts {path}, which takes images of "
            f"{image_size}x{image_size}"
        )
    return replace(
        network,
        image_size=image_size,
        discriminator_conv_dim=conv_dim,
        discriminator_layers=num_layers,
    )
