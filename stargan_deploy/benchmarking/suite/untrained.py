"""The paper's full-size networks with random weights, to measure speed without training.

Speed does not depend on the weights, and the image error of FP32, FP16 and bf16 hardly does; that
of INT8 says nothing on random weights.
"""

import dataclasses
from pathlib import Path

import torch

from stargan_deploy.card.card import ModelCard, Preprocessing
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.config import to_mapping
from stargan_deploy.families.checkpoint import is_whole, network_tensors, save_checkpoint
from stargan_deploy.families.registry import load_family
from stargan_deploy.families.stargan.networks import StarGANNetwork, build_networks
from stargan_deploy.files.cache import cache_folder
from stargan_deploy.version import __version__

NAME = "untrained"
"""Name of this model, in place of a file."""

ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""Attributes of the paper's experiments on CelebA."""

IMAGE_SIZE = 128

LAST_LAYER_SCALE = 0.5
"""Lowers the contrast of the images. Random weights amplify rounding more than trained ones do:
without this, bf16 misses the gate that it passes by far on trained generators."""


def untrained_checkpoint() -> Path:
    """Returns the checkpoint in the user's cache, made on first use, always with the same weights.

    Raises:
        OutputError: the cache cannot be written.
    """
    path = cache_folder() / f"{NAME}-{IMAGE_SIZE}-{__version__}.safetensors"
    return path if path.is_file() and is_whole(path) else _make(path)


def _make(path: Path) -> Path:
    labels = multilabel_space(ATTRIBUTES)
    network = StarGANNetwork(
        label_width=labels.label_width, num_labels=labels.num_labels, image_size=IMAGE_SIZE
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        networks = build_networks(to_mapping(network))
    last = list(networks["generator"].parameters())[-1]
    with torch.no_grad():
        last.mul_(LAST_LAYER_SCALE)
    card = ModelCard(
        family="stargan",
        network=to_mapping(network),
        weights="raw",
        step=0,
        labels=labels,
        preprocessing=Preprocessing(image_size=IMAGE_SIZE),
        entry_points={},
        intended_use="measuring speed; the weights are random",
    )
    card = dataclasses.replace(
        card, entry_points=load_family(card.family).entry_points(networks, card)
    )
    save_checkpoint(path, card, network_tensors(networks))
    return path
