"""Flags of settings: library messages name a setting in backticks, the command line its flag."""

import re

FLAGS = {
    "attributes": "--attrs",
    "discriminator_path": "--discriminator",
    "entry_point": "--direction",
    "naming": "--name",
    "references": "--reference",
    "root": "--data",
    "strengths": "--strength",
    "targets": "--attrs",
}
"""Flags that are not spelt like their setting."""


def with_flags(text: str) -> str:
    """A library's message with flags in place of settings: `max_batch` becomes --max-batch.

    Settings of a recipe, which `--set` changes, keep their dotted name: `train.steps`.
    """
    text = re.sub(r"`([a-z_]+(?:\.[a-z0-9_]+)+)`", r"\1", text)
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda match: flag_of(match[1]), text)


def flag_of(setting: str) -> str:
    """The flag of a setting: that of `max_batch` is --max-batch, of `disk_wait_s` --disk-wait."""
    return FLAGS.get(setting, f"--{setting.removesuffix('_s').replace('_', '-')}")
