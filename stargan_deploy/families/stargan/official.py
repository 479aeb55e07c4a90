"""Reading the official code's checkpoints (`200000-G.ckpt`, `200000-D.ckpt`).

Three formats are in circulation: zip archives, older pickles, and state dicts of 2018 without
`num_batches_tracked`. All hold instance norm's running statistics, which the official code never
uses, because it never leaves training mode: they are dropped here.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import LabelError, ModelError, UsageError, brief
from stargan_deploy.families.base import OfficialOptions, check_finite
from stargan_deploy.families.stargan.networks import StarGANNetwork
from stargan_deploy.files.atomic import file_sha256

SUFFIXES = (".ckpt", ".pth", ".pt")

CROP_SIZE = 178
"""The official code's crop of CelebA photos (178x218), in pixels."""

IMAGE_SIZE = 128
"""The official code's default image size in pixels."""

RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

State = dict[str, Tensor]


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
    """Read an official generator and, if given, discriminator.

    Raises:
        ModelError: a file that is not an official checkpoint, or weights of an unknown shape.
        LabelError: the number of names is not the number of the generator's labels.
        UsageError: an image size that contradicts the discriminator.
    """
    states = {"generator": read_state(generator_path)}
    label_width, conv_dim, num_blocks = generator_shape(states["generator"], generator_path)
    labels = _label_space(options, label_width, generator_path)
    network = StarGANNetwork(
        label_width=label_width,
        num_labels=label_width,
        image_size=options.image_size or IMAGE_SIZE,
        generator_conv_dim=conv_dim,
        generator_blocks=num_blocks,
        discriminator_layers=0,
    )
    if options.discriminator_path is not None:
        states["discriminator"] = read_state(options.discriminator_path)
        network = _with_discriminator(network, states["discriminator"], options)
    paths = {"generator": generator_path, "discriminator": options.discriminator_path}
    parents = {f"official {role}": file_sha256(path) for role, path in paths.items() if path}
    return OfficialModel(network=network, states=states, labels=labels, parents=parents)


def discriminator_beside(generator_path: Path) -> Path | None:
    """`200000-D.ckpt` in the folder of a `200000-G.ckpt`, if there is one."""
    path = generator_path.with_name(generator_path.name.replace("-G.", "-D."))
    return path if path != generator_path and path.is_file() else None


def read_state(path: Path) -> State:
    """Read an official state dict in FP32, without the running statistics.

    Raises:
        ModelError: there is no such file, it is not a state dict, or not finite.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"no such checkpoint: {path}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is not an official StarGAN checkpoint: not a plain state dict of PyTorch"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise ModelError(f"{path} is not an official StarGAN checkpoint: {brief(error)}") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} is not an official StarGAN checkpoint: not a state dict")
    weights = {
        str(key).removeprefix("module."): value.float().contiguous()
        for key, value in state.items()
        if not str(key).endswith(RUNNING_STATISTICS)
    }
    check_finite(path, weights)
    return weights


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


def _label_space(options: OfficialOptions, label_width: int, path: Path) -> LabelSpace:
    names = options.names
    if len(names) != label_width:
        raise LabelError(
            f"{path} was trained with {label_width} labels, but {len(names)} names were given "
            f"({', '.join(names)})",
            hint="name all of them, in the order of its training",
        )
    if not options.domains:
        return multilabel_space(names, exclusive=tuple(map(tuple, options.exclusive)))
    if options.exclusive:
        raise UsageError("`exclusive` groups attributes; of domains an image has one anyway")
    return onehot_space(names)


def _with_discriminator(
    network: StarGANNetwork, state: State, options: OfficialOptions
) -> StarGANNetwork:
    path = options.discriminator_path
    assert path is not None
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
