"""Tables that the presets of several families share."""

from typing import Any

DIGITS: dict[str, Any] = {"kind": "idx", "image_size": 28, "crop_size": 0, "flip": False}
"""MNIST; a mirrored digit is not a digit."""

FROM_NOISE: dict[str, Any] = {
    "steps": 4_000,
    "batch_size": 256,
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "critic_steps": 1,
    "schedule": "constant",
}

IMAGE_TO_IMAGE: dict[str, Any] = {
    "batch_size": 1,
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "critic_steps": 1,
    "schedule": "paper",
}

FREQUENT_OUTPUT: dict[str, Any] = {
    "log_every": 50,
    "sample_every": 500,
    "evaluate_every": 0,
    "checkpoint_every": 500,
}

SMALL_DCGAN: dict[str, Any] = {
    "data": DIGITS,
    "model": {"channels": 1, "generator_conv_dim": 32, "discriminator_conv_dim": 32},
    "train": {**FROM_NOISE, "generator_lr": 1e-3, "discriminator_lr": 1e-3},
    "output": FREQUENT_OUTPUT,
}
"""DCGAN's networks for MNIST."""
