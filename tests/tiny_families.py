"""Tiny data and recipes of every family besides StarGAN, which tests of all doors go through."""

import gzip
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.config import merge
from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint
from stargan_deploy.training.recipe import Recipe, resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer

TINY_RUN = {
    "train": {"steps": 4, "batch_size": 4, "device": "cpu"},
    "output": {
        "log_every": 2,
        "sample_every": 2,
        "checkpoint_every": 2,
        "num_samples": 2,
        "evaluate_every": 2,
        "num_evaluated": 3,
    },
}

TINY_DCGAN = {"latent_width": 6, "generator_conv_dim": 2, "discriminator_conv_dim": 2}

TINY = {
    "gan": {"preset": "gan", "model": {"latent_width": 6, "generator_width": 8}},
    "dcgan": {"preset": "dcgan", "model": TINY_DCGAN},
    "cgan": {"preset": "cgan", "model": TINY_DCGAN},
    "pix2pix": {
        "preset": "pix2pix",
        "data": {"image_size": 64, "jitter": 4},
        "model": {
            "levels": 6,
            "generator_conv_dim": 2,
            "discriminator_conv_dim": 2,
            "discriminator_halvings": 2,
        },
        "train": {"epochs": 2.0, "ema_decay": 0.9},
    },
    "cyclegan": {
        "preset": "cyclegan",
        "data": {"image_size": 16, "jitter": 2},
        "model": {
            "generator_conv_dim": 2,
            "generator_blocks": 1,
            "discriminator_conv_dim": 2,
            "discriminator_halvings": 1,
        },
        "train": {"ema_decay": 0.9},
    },
    "progan": {
        "preset": "progan",
        "data": {"image_size": 8},
        "model": {"latent_width": 6, "base_features": 32, "max_features": 8},
        "train": {"ema_decay": 0.9},
    },
    "classifier": {
        "preset": "classifier",
        "data": {"kind": "folders", "image_size": 16, "jitter": 2},
        "model": {"width": 4},
        "loss": {"balance": 0.5},
        "train": {"ema_decay": 0.9},
    },
    "starganv2": {
        "preset": "starganv2",
        "data": {"image_size": 32},
        "model": {
            "conv_dim": 4,
            "max_conv_dim": 8,
            "style_width": 4,
            "latent_width": 4,
            "mapping_width": 8,
        },
        "train": {"ema_decay": 0.9},
    },
}
"""Recipes by family, without their data."""

LARGE = {"starganv2"}
"""Families with many entry points, and several updates in a step."""


def large_ones_slowly(names: Iterable[str]) -> list[Any]:
    """Names of families to parametrise by, of which the large ones are slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in names]


def tiny_family_recipe(family: str, folder: Path, **changes: Any) -> Recipe:
    """A tiny recipe on data that `write_data` wrote."""
    tables = merge(merge(TINY_RUN, TINY[family]), changes)
    return resolve_recipe(merge(tables, {"data": {"root": str(folder)}}))


def train_family(family: str, folder: Path, **changes: Any) -> Path:
    """Trains a family for a few steps; returns the last checkpoint."""
    data = write_data(family, folder / "data")
    return create_trainer(tiny_family_recipe(family, data, **changes), Run(folder / "run")).train()


def lively_model(family: str, folder: Path) -> Path:
    """A checkpoint whose pictures are not all grey, as those of four steps from 0.02 are."""
    path = train_family(family, folder, train={"ema_decay": 0.0})
    checkpoint = load_checkpoint(path)
    tensors = {
        name: 10 * tensor if tensor.ndim == 4 and tensor.std() < 0.1 else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    save_checkpoint(path, checkpoint.card, tensors)
    return path


def write_data(family: str, folder: Path) -> Path:
    """Writes images of the kind that a family learns from."""
    kind = resolve_recipe(merge(TINY[family], {"data": {"root": "somewhere"}})).data.kind
    {
        "idx": write_digits,
        "plain": write_images,
        "paired": write_pairs,
        "unpaired": write_domains,
        "folders": write_domains,
    }[kind](folder)
    return folder


def write_digits(folder: Path, *, count: int = 12, suffix: str = ".gz") -> None:
    """MNIST's four files with a few noisy images of classes 0, 1 and 2."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for stem in ("train", "t10k"):
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images)
        write_idx(
            folder / f"{stem}-labels-idx1-ubyte{suffix}", np.arange(count, dtype=np.uint8) % 3
        )


def write_images(folder: Path) -> None:
    """A few images of noise."""
    for number in range(6):
        save_noise(folder / f"{number}.png", 16, 16, seed=number)


def write_pairs(folder: Path) -> None:
    """Pairs in `train` and `val`: left noise, right other noise."""
    for number in range(8):
        save_noise(folder / "train" / f"{number}.png", 128, 64, seed=number)
    save_noise(folder / "val" / "9.png", 128, 64, seed=9)


def write_domains(folder: Path) -> None:
    """Two folders of different numbers of images below `train` and `test`."""
    for number in range(5):
        save_noise(folder / "train" / "photo" / f"{number}.png", 20, 20, seed=number)
    for number in range(3):
        save_noise(folder / "train" / "monet" / f"{number}.png", 20, 20, seed=10 + number)
    save_noise(folder / "test" / "photo" / "0.png", 20, 20, seed=20)
    save_noise(folder / "test" / "monet" / "0.png", 20, 20, seed=21)


def write_idx(path: Path, values: np.ndarray) -> None:
    """An IDX file of unsigned bytes, zipped where its ending says so."""
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def save_noise(path: Path, width: int, height: int, seed: int = 0) -> None:
    """An image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
