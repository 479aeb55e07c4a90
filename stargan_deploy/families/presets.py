"""Presets: settings by name, from which recipes start."""

from typing import Any

_DIGITS: dict[str, Any] = {"kind": "idx", "image_size": 28, "crop_size": 0, "flip": False}
"""MNIST; a mirrored digit is none."""

_SMALL: dict[str, Any] = {
    "channels": 1,
    "generator_conv_dim": 32,
    "discriminator_conv_dim": 32,
}

_FROM_NOISE: dict[str, Any] = {
    "steps": 4_000,
    "batch_size": 256,
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "critic_steps": 1,
    "schedule": "constant",
}

_IMAGE_TO_IMAGE: dict[str, Any] = {
    "batch_size": 1,
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "critic_steps": 1,
    "schedule": "paper",
}

_OUTPUT: dict[str, Any] = {
    "log_every": 50,
    "sample_every": 500,
    "evaluate_every": 0,
    "checkpoint_every": 500,
}

PRESETS: dict[str, dict[str, Any]] = {
    "celeba128": {
        "name": "celeba128",
        "data": {"kind": "celeba", "image_size": 128, "crop_size": 178},
        "train": {"steps": 200_000},
    },
    "demo": {
        "name": "demo",
        "data": {
            "kind": "synthetic",
            "attributes": ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"],
            "image_size": 64,
            "crop_size": 0,
            "num_synthetic": 4000,
        },
        "model": {
            "generator_conv_dim": 16,
            "generator_blocks": 6,
            "discriminator_conv_dim": 24,
            "discriminator_layers": 4,
        },
        "loss": {"lambda_rec": 40.0},
        "train": {
            "steps": 20_000,
            "batch_size": 4,
            "generator_lr": 3e-4,
            "discriminator_lr": 3e-4,
            "critic_steps": 2,
        },
        "output": {
            "log_every": 100,
            "sample_every": 1000,
            "evaluate_every": 2000,
            "checkpoint_every": 1000,
            "model_precision": "fp16",
        },
    },
    "gan": {
        "name": "gan",
        "family": "gan",
        "data": {**_DIGITS},
        "train": {**_FROM_NOISE, "steps": 30_000, "batch_size": 100},
        "output": {**_OUTPUT},
    },
    "dcgan": {
        "name": "dcgan",
        "family": "dcgan",
        "data": {**_DIGITS},
        "model": {**_SMALL},
        "train": {**_FROM_NOISE, "generator_lr": 1e-3, "discriminator_lr": 1e-3},
        "output": {**_OUTPUT},
    },
    "cgan": {
        "name": "cgan",
        "family": "cgan",
        "data": {**_DIGITS},
        "model": {**_SMALL},
        "train": {**_FROM_NOISE, "generator_lr": 1e-3, "discriminator_lr": 1e-3},
        "output": {**_OUTPUT},
    },
    "pix2pix": {
        "name": "pix2pix",
        "family": "pix2pix",
        "data": {"kind": "paired", "image_size": 256, "crop_size": 0, "jitter": 30},
        "train": {**_IMAGE_TO_IMAGE, "epochs": 200.0, "ema_decay": 0.0},
        "output": {**_OUTPUT, "evaluate_every": 1000},
    },
    "cyclegan": {
        "name": "cyclegan",
        "family": "cyclegan",
        "data": {"kind": "unpaired", "image_size": 128, "crop_size": 0, "jitter": 15},
        "train": {**_IMAGE_TO_IMAGE, "steps": 100_000, "ema_decay": 0.0},
        "output": {**_OUTPUT, "evaluate_every": 1000, "num_evaluated": 16},
    },
    "progan": {
        "name": "progan",
        "family": "progan",
        "data": {"kind": "plain", "image_size": 128, "crop_size": 0},
        "train": {
            "steps": 550_000,
            "batch_size": 16,
            "generator_lr": 1e-3,
            "discriminator_lr": 1e-3,
            "beta1": 0.0,
            "beta2": 0.99,
            "critic_steps": 1,
            "schedule": "constant",
        },
        "output": {**_OUTPUT},
    },
}
"""Settings by name, from which recipes start; "celeba128" is StarGAN's paper's run,
and each of the other families has one of its own name, from which its recipes start without being
told to."""
