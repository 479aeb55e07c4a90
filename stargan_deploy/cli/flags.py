"""Flags of settings: library messages name a setting in backticks, the command line its flag."""

import re

FLAGS = {
    "attributes": "--attrs",
    "discriminator_path": "--discriminator",
    "disk_wait_s": "--disk-wait",
    "entry_point": "--direction",
    "naming": "--name",
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
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda match: _flag(match[1]), text)


def _flag(setting: str) -> str:
    return FLAGS.get(setting, f"--{setting.replace('_', '-')}")
