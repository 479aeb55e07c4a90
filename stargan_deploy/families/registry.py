"""Families of models by name."""

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from stargan_deploy.errors import CardError, ConfigError, ModelError, UsageError, unknown_name
from stargan_deploy.families.base import Family
from stargan_deploy.families.foreign_file import read_foreign

DEFAULT_FAMILY = "stargan"
"""The family of a recipe that names none."""

FAMILIES = {
    "stargan": "stargan_deploy.families.stargan.family:StarGAN",
    "gan": "stargan_deploy.families.gan.family:GAN",
    "dcgan": "stargan_deploy.families.dcgan.family:DCGAN",
    "cgan": "stargan_deploy.families.cgan.family:CGAN",
    "pix2pix": "stargan_deploy.families.pix2pix.family:Pix2Pix",
    "cyclegan": "stargan_deploy.families.cyclegan.family:CycleGAN",
    "progan": "stargan_deploy.families.progan.family:ProGAN",
    "classifier": "stargan_deploy.families.classifier.family:ClassifierFamily",
    "starganv2": "stargan_deploy.families.stargan_v2.family:StarGANv2",
}
"""Each family's class as "module:Class"; imported on use."""


def register_family(name: str, target: str) -> None:
    """Make a family known under a name, without importing it.

    Args:
        name: its name in recipes and model cards.
        target: its class as "module:Class".

    Raises:
        UsageError: another family has the name.
    """
    if FAMILIES.setdefault(name, target) != target:
        raise UsageError(f"the family {name!r} is registered already, as {FAMILIES[name]}")


def load_family(name: str) -> Family:
    """The family of a name.

    Raises:
        CardError: there is no such family.
    """
    if name not in FAMILIES:
        raise CardError(unknown_name("model family", name, FAMILIES))
    return _load(FAMILIES[name])


def presets() -> dict[str, Mapping[str, Any]]:
    """The presets of all families by name."""
    return {
        name: {"name": name, "family": family} | dict(tables)
        for family in FAMILIES
        for name, tables in load_family(family).presets.items()
    }


def find_preset(name: str) -> Mapping[str, Any]:
    """The tables of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    known = presets()
    if name not in known:
        raise ConfigError(unknown_name("preset", name, known))
    return known[name]


def official_families(path: Path) -> list[str]:
    """The families whose official checkpoint a file is; none where it cannot be read."""
    try:
        content = read_foreign(path, "an official checkpoint")
    except ModelError:
        return []
    return [name for name in FAMILIES if load_family(name).recognises_official(content)]


@cache
def _load(target: str) -> Family:
    module, _, name = target.partition(":")
    family = getattr(importlib.import_module(module), name)()
    if not isinstance(family, Family):
        raise TypeError(f"{target} is not a Family")
    return family
