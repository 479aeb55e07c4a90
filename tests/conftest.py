"""Tiny real models that most tests share."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stargan_deploy.card import ModelCard, Preprocessing
from stargan_deploy.labels import multilabel_space
from stargan_deploy.models.checkpoint import network_tensors, save_checkpoint
from stargan_deploy.models.stargan import build_networks, entry_points

ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


def make_checkpoint(path: Path, *, image_size: int = 32, discriminator: bool = True) -> Path:
    """Writes a tiny StarGAN checkpoint with random, seeded weights."""
    labels = multilabel_space(ATTRIBUTES)
    network = {
        "label_width": labels.label_width,
        "num_labels": labels.num_labels,
        "image_size": image_size,
        "generator_conv_dim": 8,
        "generator_blocks": 1,
        "discriminator_conv_dim": 8,
        "discriminator_layers": 3 if discriminator else 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = build_networks(network)
    card = ModelCard(
        family="stargan",
        network=network,
        weights="raw",
        step=0,
        labels=labels,
        preprocessing=Preprocessing(image_size=image_size),
        entry_points={},
    )
    card = replace(card, entry_points=entry_points(networks, card))
    save_checkpoint(path, card, network_tensors(networks))
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with generator and discriminator for 32x32 images."""
    return make_checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="session")
def official() -> Path:
    """Tiny checkpoints, outputs and training steps computed by the official code."""
    return Path(__file__).parent / "fixtures"
