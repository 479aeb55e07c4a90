"""Distillation of generators that halve an image, apply residual blocks, and double it again.

StarGAN's and CycleGAN's differ in padding layers, which shift the numbers of the others, and in
whether instance norm has scales.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from stargan_deploy.errors import UsageError
from stargan_deploy.families.distillation.base import NUM_DEPTHS, Channels, Distillation, Layer

NUM_HALVINGS = 2
LAYERS_PER_CONVOLUTION = 3
"""A convolution, its norm, and its ReLU."""

_BLOCK = NUM_HALVINGS * LAYERS_PER_CONVOLUTION + LAYERS_PER_CONVOLUTION
"""Number of the first block, without padding."""


class ResidualDistillation(Distillation):
    """Networks with `generator_conv_dim` and `generator_blocks` in their `network` table."""

    model_settings: ClassVar[tuple[str, ...]]
    """Settings of the recipe's `model` table."""
    first: ClassVar[int] = 0
    """Number of the first convolution; padding comes before it."""
    inner: ClassVar[tuple[int, int]] = (0, 3)
    """Numbers of a block's two convolutions."""
    has_scales: ClassVar[bool] = True
    """Whether norms have scales and shifts, and convolutions no bias; or the other way round."""

    def narrowed(
        self, network: Mapping[str, Any], *, width: int, num_blocks: int | None
    ) -> dict[str, Any]:
        """The teacher's settings with another width and number of blocks."""
        wanted = {"generator_conv_dim": width}
        if num_blocks is not None:
            wanted["generator_blocks"] = num_blocks
        refuse_larger(wanted, network)
        return {name: network[name] for name in self.model_settings} | wanted

    def features(self, network: Mapping[str, Any]) -> tuple[Layer, ...]:
        """After the last halving, and after each third of the blocks."""
        num_blocks, channels = network["generator_blocks"], 4 * network["generator_conv_dim"]
        thirds = [-(-num_blocks * third // (NUM_DEPTHS - 1)) for third in range(NUM_DEPTHS)]
        return tuple(
            Layer(name=f"main.{self.first + _BLOCK - 1 + number}", channels=channels)
            for number in thirds
        )

    def channels(self, network: Mapping[str, Any]) -> tuple[Channels, ...]:
        """Those of both ways, of the residual stream, and of the inside of each block."""
        num_blocks = network["generator_blocks"]
        start, end = self.first + _BLOCK, self.first + _BLOCK + num_blocks
        blocks = [f"main.{number}.main" for number in range(start, end)]
        ins, outs = ([f"{block}.{number}" for block in blocks] for number in self.inner)
        downs = [f"main.{self.first + LAYERS_PER_CONVOLUTION * number}" for number in range(3)]
        ups = [f"main.{end + LAYERS_PER_CONVOLUTION * number}" for number in range(2)]
        last = f"main.{end + 2 * LAYERS_PER_CONVOLUTION + self.first}"
        return (
            self._group({downs[0]: 0}, {downs[1]: 1}),
            self._group({downs[1]: 0}, {downs[2]: 1}),
            self._group(dict.fromkeys([downs[2], *outs], 0), dict.fromkeys(ins, 1) | {ups[0]: 0}),
            *(self._group({a: 0}, {b: 1}) for a, b in zip(ins, outs, strict=True)),
            self._group({ups[0]: 1}, {ups[1]: 0}),
            self._group({ups[1]: 1}, {last: 1}),
        )

    def key_in_teacher(
        self, key: str, *, student: Mapping[str, Any], teacher: Mapping[str, Any]
    ) -> str:
        """Blocks start from those at the ends of equal stretches, the last one from the last."""
        match = re.match(r"main\.(\d+)", key)
        assert match, key
        own, theirs = student["generator_blocks"], teacher["generator_blocks"]
        block = int(match[1]) - self.first - _BLOCK
        if block < 0:
            return key
        place = block + theirs - own if block >= own else -(-(block + 1) * theirs // own) - 1
        return f"main.{self.first + _BLOCK + place}{key[match.end() :]}"

    def _group(self, written: Mapping[str, int], read: Mapping[str, int]) -> Channels:
        """Channels of convolutions by their names, with the norms behind them."""
        norms = [_next(name) for name in written]
        shifts = norms if self.has_scales else list(written)
        return Channels(
            written={f"{name}.weight": axis for name, axis in written.items()},
            read={f"{name}.weight": axis for name, axis in read.items()},
            scales=tuple(f"{name}.weight" for name in norms) if self.has_scales else (),
            vectors=tuple(f"{name}.bias" for name in shifts),
        )


def refuse_larger(wanted: Mapping[str, int], network: Mapping[str, Any]) -> None:
    """Refuse settings of a student that are larger than its teacher's.

    Raises:
        UsageError: one of them is, or is not positive.
    """
    for name, value in wanted.items():
        if value > network[name]:
            raise UsageError(
                f"the student would be larger than its teacher: {name} {value}, and the teacher "
                f"has {network[name]}",
                hint="`width` is the student's, and `blocks` their number",
            )
        if value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


def _next(name: str) -> str:
    """The layer behind another one."""
    parent, _, number = name.rpartition(".")
    return f"{parent}.{int(number) + 1}"
