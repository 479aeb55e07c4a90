"""Reading the official code's checkpoints (`200000-G.ckpt`, `200000-D.ckpt`).

Three formats are in the wild: zip archives, older pickles, and state dicts of 2018 without
`num_batches_tracked`. All hold instance norm's running statistics, which the official code never
uses, because it never leaves training mode: they are dropped here.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stargan_deploy.errors import ModelError, UsageError

RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

State = dict[str, Tensor]


def read_state(path: Path) -> State:
    """Reads an official state dict in FP32, without the running statistics.

    Raises:
        ModelError: there is no such file, or it is not a state dict.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"no such checkpoint: {path}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is not an official StarGAN checkpoint: no plain state dict of PyTorch's"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{path} is not an official StarGAN checkpoint: {_brief(error)}"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} is not an official StarGAN checkpoint: no state dict in it")
    return {
        str(key).removeprefix("module."): value.float().contiguous()
        for key, value in state.items()
        if not str(key).endswith(RUNNING_STATISTICS)
    }


def generator_shape(state: State, path: Path) -> tuple[int, int, int]:
    """Reads (label width, conv_dim, number of residual blocks) off a generator's weights.

    Raises:
        ModelError: these are not a generator's weights.
    """
    first = state.get("main.0.weight")
    blocks = {m[1] for key in state if (m := re.fullmatch(r"main\.(\d+)\.main\.0\.weight", key))}
    if first is None or first.ndim != 4 or first.shape[1] <= 3 or "conv1.weight" in state:
        raise ModelError(f"{path} does not hold an official StarGAN generator")
    return first.shape[1] - 3, first.shape[0], len(blocks)


def discriminator_shape(state: State, path: Path) -> tuple[int, int, int, int]:
    """Reads (number of labels, conv_dim, number of layers, image size) off a discriminator.

    Raises:
        ModelError: these are not a discriminator's weights.
    """
    first, head = state.get("main.0.weight"), state.get("conv2.weight")
    if first is None or head is None or first.ndim != 4 or head.ndim != 4:
        raise ModelError(f"{path} does not hold an official StarGAN discriminator")
    num_layers = sum(1 for key in state if re.fullmatch(r"main\.\d+\.weight", key))
    return head.shape[0], first.shape[0], num_layers, head.shape[2] * 2**num_layers


def check_image_size(asked: int | None, read: int | None, path: Path | None) -> int:
    """Settles the image size: the discriminator's where there is one, else the one asked for.

    Raises:
        UsageError: they contradict each other.
    """
    if asked is not None and read is not None and asked != read:
        raise UsageError(f"--image-size {asked} contradicts {path}, which takes images of {read}")
    return read or asked or 128


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
