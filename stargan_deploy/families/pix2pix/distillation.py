"""Students of pix2pix's U-Net."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from stargan_deploy.config import from_mapping
from stargan_deploy.errors import UsageError
from stargan_deploy.families.distillation.base import (
    Channels,
    Distillation,
    Layer,
    Translation,
)
from stargan_deploy.families.distillation.residual import refuse_larger
from stargan_deploy.families.objectives.base import Tensors
from stargan_deploy.families.pix2pix.networks import ModelConfig, Pix2PixNetwork, UNet

NORM_STATISTICS = ("running_mean", "running_var")
"""Further vectors of batch norm."""


class Pix2PixDistillation(Distillation):
    """A narrower U-Net; its levels, which decide the image size, stay."""

    def narrowed(
        self, network: Mapping[str, Any], *, width: int, num_blocks: int | None
    ) -> dict[str, Any]:
        """The teacher's settings with another width.

        Raises:
            UsageError: a number of blocks, or a larger width than the teacher's.
        """
        if num_blocks is not None:
            raise UsageError("a U-Net has no residual blocks", hint="leave `blocks` out")
        wanted = {"generator_conv_dim": width}
        refuse_larger(wanted, network)
        names = [entry.name for entry in dataclasses.fields(ModelConfig)]
        return {name: network[name] for name in names} | wanted

    def translations(self, batch: Tensors, draws: Tensors) -> tuple[Translation, ...]:
        """The batch's inputs; the teacher drops no features, as at inference."""
        inputs = (batch["condition"],)
        return (Translation(role="generator", inputs=inputs, image_BCHW=draws["fake"]),)

    def features(self, network: Mapping[str, Any]) -> tuple[Layer, ...]:
        """Half way down, at the bottom, half way up, and before the last level."""
        config = from_mapping(Pix2PixNetwork, network)
        widths, half = _widths(config), config.levels // 2
        return (
            Layer(name=f"downs.{half}", channels=widths[half]),
            Layer(name=f"downs.{config.levels - 1}", channels=widths[-1]),
            Layer(name=f"ups.{half}", channels=widths[half - 1]),
            Layer(name="ups.1", channels=widths[0]),
        )

    def channels(self, network: Mapping[str, Any]) -> tuple[Channels, ...]:
        """For each level those of the way down, which are joined with those of the way up."""
        config = from_mapping(Pix2PixNetwork, network)
        found = []
        for level in range(config.levels):
            found.append(_down(level, config))
            if level < config.levels - 1:
                found.append(_up(level + 1, config))
        return tuple(found)


def _widths(config: Pix2PixNetwork) -> list[int]:
    return UNet.widths_of(levels=config.levels, conv_dim=config.generator_conv_dim)


def _down(level: int, config: Pix2PixNetwork) -> Channels:
    """The channels that a level of the way down writes."""
    name = f"downs.{level}.{1 if level else 0}"
    read = {f"ups.{level}.1.weight": 0}
    if level < config.levels - 1:
        read[f"downs.{level + 1}.1.weight"] = 1
    is_normed = 0 < level < config.levels - 1
    return _group(name, 0, read, f"downs.{level}.2" if is_normed else "", config)


def _up(level: int, config: Pix2PixNetwork) -> Channels:
    """The channels that a level of the way up writes, all but the outermost."""
    return _group(f"ups.{level}.1", 1, {f"ups.{level - 1}.1.weight": 0}, f"ups.{level}.2", config)


def _group(
    name: str, axis: int, read: Mapping[str, int], norm: str, config: Pix2PixNetwork
) -> Channels:
    has_scale = bool(norm) and config.norm == "batch"
    vectors = [f"{norm}.{each}" for each in ("bias", *NORM_STATISTICS) if has_scale]
    if config.norm == "instance":
        vectors.append(f"{name}.bias")
    return Channels(
        written={f"{name}.weight": axis},
        read=read,
        scales=(f"{norm}.weight",) if has_scale else (),
        vectors=tuple(vectors),
    )
