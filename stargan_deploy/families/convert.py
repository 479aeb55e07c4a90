"""Turns official StarGAN checkpoints into ours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stargan_deploy.card.card import ModelCard, Preprocessing, library_versions
from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import LabelError, ModelError
from stargan_deploy.families.checkpoint import (
    Checkpoint,
    load_weights,
    network_tensors,
    save_checkpoint,
)
from stargan_deploy.families.stargan.networks import StarGANNetwork, build_networks, entry_points
from stargan_deploy.families.stargan.official import (
    State,
    check_image_size,
    discriminator_shape,
    generator_shape,
    read_state,
)
from stargan_deploy.files.atomic import file_sha256

OFFICIAL_FAMILY = "stargan"

OFFICIAL_CROP_SIZE = 178
"""The official code's crop of CelebA photos (178x218), in pixels."""


def convert_official(
    generator_path: Path,
    out: Path,
    *,
    names: Sequence[str],
    discriminator_path: Path | None = None,
    image_size: int | None = None,
    crop_size: int | None = OFFICIAL_CROP_SIZE,
    domains: bool = False,
) -> ModelCard:
    """Writes a checkpoint of ours from an official generator and, if given, discriminator.

    Args:
        generator_path: as in `read_official`, like all but `out`.
        out: where the checkpoint goes.
        names: attribute or domain names in the order of the label.
        discriminator_path: `200000-D.ckpt`.
        image_size: side of the training images in pixels.
        crop_size: side of the centre crop of training in pixels; None for none.
        domains: whether the labels are one-hot domains instead of attributes.

    Returns:
        The card as written.

    Raises:
        ModelError, LabelError, UsageError: as `read_official`.
        OutputError: the checkpoint cannot be written.
    """
    content = read_official(
        generator_path,
        names=names,
        discriminator_path=discriminator_path,
        image_size=image_size,
        crop_size=crop_size,
        domains=domains,
    )
    return save_checkpoint(out, content.card, content.tensors)


def read_official(
    generator_path: Path,
    *,
    names: Sequence[str],
    discriminator_path: Path | None = None,
    image_size: int | None = None,
    crop_size: int | None = OFFICIAL_CROP_SIZE,
    domains: bool = False,
) -> Checkpoint:
    """Reads an official generator and, if given, discriminator as a checkpoint of ours.

    Args:
        generator_path: `200000-G.ckpt` in any of the three formats.
        names: attribute or domain names in the order of the label.
        discriminator_path: `200000-D.ckpt`.
        image_size: side of the training images; read off the discriminator where there is one,
            else 128.
        crop_size: side of the centre crop of training in pixels; None for none.
        domains: whether the labels are one-hot domains instead of attributes.

    Raises:
        ModelError: a file that is not an official checkpoint, or weights of an unknown shape.
        LabelError: not as many names as the generator has labels.
        UsageError: an image size that contradicts the discriminator.
    """
    generator = read_state(generator_path)
    label_width, conv_dim, num_blocks = generator_shape(generator, generator_path)
    labels = _label_space(names, label_width, generator_path, domains=domains)
    network = StarGANNetwork(
        label_width=label_width,
        num_labels=label_width,
        image_size=check_image_size(image_size, None, None),
        generator_conv_dim=conv_dim,
        generator_blocks=num_blocks,
        discriminator_layers=0,
    )
    states = {"generator": generator}
    if discriminator_path is not None:
        states["discriminator"] = read_state(discriminator_path)
        network = _with_discriminator(
            network, states["discriminator"], discriminator_path, asked_size=image_size
        )
    paths = {"generator": generator_path, "discriminator": discriminator_path}
    parents = {f"official {role}": file_sha256(path) for role, path in paths.items() if path}
    return _assemble(network, states, labels, crop_size=crop_size, parents=parents)


def _label_space(
    names: Sequence[str], label_width: int, path: Path, *, domains: bool
) -> LabelSpace:
    if len(names) != label_width:
        raise LabelError(
            f"{path} was trained with {label_width} labels, but {len(names)} names were given "
            f"({', '.join(names)}); name them all in the order of its training"
        )
    return onehot_space(names) if domains else multilabel_space(names)


def _with_discriminator(
    network: StarGANNetwork, state: State, path: Path, *, asked_size: int | None
) -> StarGANNetwork:
    num_labels, conv_dim, num_layers, read_size = discriminator_shape(state, path)
    if num_labels != network.num_labels:
        raise ModelError(
            f"{path} classifies {num_labels} labels, but the generator takes {network.num_labels}; "
            "these two do not belong together"
        )
    return replace(
        network,
        image_size=check_image_size(asked_size, read_size, path),
        discriminator_conv_dim=conv_dim,
        discriminator_layers=num_layers,
    )


def _assemble(
    network: StarGANNetwork,
    states: dict[str, State],
    labels: LabelSpace,
    *,
    crop_size: int | None,
    parents: dict[str, str],
) -> Checkpoint:
    networks = build_networks(to_mapping(network))
    for role, state in states.items():
        load_weights(networks[role], state, complaint=f"the official {role}'s weights do not fit")
    card = ModelCard(
        family=OFFICIAL_FAMILY,
        network=to_mapping(network),
        weights="raw",
        step=0,
        labels=labels,
        preprocessing=Preprocessing(image_size=network.image_size, crop_size=crop_size),
        entry_points={},
        parents=parents,
        training_data="",
        versions=library_versions("torch"),
    )
    card = replace(card, entry_points=entry_points(networks, card))
    return Checkpoint(card=card, tensors=network_tensors(networks))
