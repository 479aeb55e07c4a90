"""How a family's networks are made smaller, and what of them a student is taught.

Shape legend: B batch, C channels, H height, W width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from stargan_deploy.families.objectives.base import Tensors

NUM_DEPTHS = 4
"""Depths at which features are compared, as in OMGD (Ren et al., ICCV 2021) and GAN Compression
(Li et al., CVPR 2020)."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A call of a generator in a step of a training."""

    role: str
    """The generator's role."""
    inputs: tuple[Tensor, ...]
    """What it was given."""
    image_BCHW: Tensor
    """The result, in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer whose output is compared with the teacher's."""

    name: str
    """Its name within the generator."""
    channels: int
    """Channels of its output."""


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Channels of a network that are kept or dropped together.

    Layers that add up to one residual stream write the same channels.
    """

    written: Mapping[str, int]
    """Weights that make the channels: key of the tensor, axis of its outputs."""
    read: Mapping[str, int]
    """Weights that use them: key of the tensor, axis of its inputs. Where a tensor reads several
    groups, they follow one another in the order in which a family lists them."""
    scales: tuple[str, ...] = ()
    """Scales of the norms behind these weights."""
    vectors: tuple[str, ...] = field(default=())
    """Further tensors with a value for each channel: biases, shifts, running statistics."""


class Distillation(ABC):
    """A family's answers to what a distillation asks."""

    roles: ClassVar[tuple[str, ...]] = ("generator",)
    """The networks that become smaller; all others stay the teacher's."""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Tables of a recipe in which a distillation differs from the teacher's training."""

    @abstractmethod
    def narrowed(
        self, network: Mapping[str, Any], *, width: int, num_blocks: int | None
    ) -> dict[str, Any]:
        """The recipe's `model` table of a student.

        Args:
            network: the `network` table of the teacher's card.
            width: channels of a generator's first layer.
            num_blocks: residual blocks of a generator; None keeps their number.

        Raises:
            UsageError: the student would be larger, or the generator has no such blocks.
        """

    @abstractmethod
    def translations(self, batch: Tensors, draws: Tensors) -> tuple[Translation, ...]:
        """The calls of the generators that `Objective.share` has made for a batch."""

    @abstractmethod
    def features(self, network: Mapping[str, Any]) -> tuple[Layer, ...]:
        """The `NUM_DEPTHS` layers of a generator to compare, from the card's `network` table."""

    @abstractmethod
    def channels(self, network: Mapping[str, Any]) -> tuple[Channels, ...]:
        """All channels of a generator, from the card's `network` table."""

    def key_in_teacher(
        self, key: str, *, student: Mapping[str, Any], teacher: Mapping[str, Any]
    ) -> str:
        """The teacher's tensor that a tensor of a generator starts from.

        Args:
            key: key of the student's tensor.
            student: the `network` table of the student.
            teacher: the `network` table of the teacher's card.
        """
        return key
