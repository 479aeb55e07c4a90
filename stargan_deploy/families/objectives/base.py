"""What a family of models is to the trainer.

The trainer knows networks, players, phases and losses; it does not know StarGAN. All randomness of
a step is drawn from a generator that the trainer seeds from (seed, step) and handed to the losses.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import ConfigError, unknown_name

Tensors = dict[str, Tensor]
"""Named tensors: a batch as the data gives it, or the draws of a step."""

OBJECTIVES = {
    "stargan": "stargan_deploy.families.stargan.objective",
    "gan": "stargan_deploy.families.gan.objective",
    "dcgan": "stargan_deploy.families.dcgan.objective",
    "cgan": "stargan_deploy.families.cgan.objective",
    "pix2pix": "stargan_deploy.families.pix2pix.objective",
    "cyclegan": "stargan_deploy.families.cyclegan.objective",
    "progan": "stargan_deploy.families.progan.objective",
}
"""Module of each family's objective, imported on use; each satisfies `ObjectiveModule`."""


@dataclass(frozen=True, kw_only=True)
class Player:
    """One side of the game: the networks that one optimizer moves."""

    name: str
    networks: tuple[str, ...]
    """Roles of its networks."""
    learning_rate: float
    betas: tuple[float, float]
    """Adam's."""
    every: int = 1
    """The player moves at every so many steps."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training at one image size and batch size."""

    num_steps: int
    image_size: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What one player minimises, and the terms it is made of."""

    total: Tensor
    terms: Mapping[str, Tensor]
    """Unweighted terms by their names in the metrics."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Pictures that show how far the training is."""

    images: Tensor
    """(rows, columns, 3, H, W) in [-1, 1]."""
    headings: tuple[str, ...] = field(default_factory=tuple)
    """One a column."""


class Objective(Protocol):
    """The game of one family: who plays, on which networks, for what."""

    networks: dict[str, nn.Module]
    """Trainable networks by role."""
    called: dict[str, nn.Module]
    """What the losses call to train a network: itself, or what the trainer wrapped around it."""
    frozen: dict[str, nn.Module]
    """Networks that the losses use and nobody trains."""
    averaged: tuple[str, ...]
    """Roles of the networks of which a moving average is kept."""
    grows: bool
    """Whether parts of the networks come into use later than others."""
    players: tuple[Player, ...]
    """In the order of their moves within a step."""
    ranks: Ranks
    """The processes that train together, as the trainer says; one until then."""
    labels: LabelSpace
    """What labels the networks take; none where the space is empty."""
    takes: tuple[str, ...]
    """Names of the images in a batch that the losses need."""

    def phases(self) -> tuple[Phase, ...]:
        """The stretches of the training, in order."""

    def begin_step(self, step: int) -> None:
        """Says which step comes next, counted from 0; the networks grow by it alone."""

    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draws all that is random in a step, on the CPU, for the batch of all ranks.

        `batch["label"]` (B, D) has that batch's rows; D may be 0.
        """

    def share(self, batch: Tensors, draws: Tensors, moving: tuple[str, ...]) -> Tensors:
        """Computes once what the losses of several players need; joins the draws.

        Args:
            batch: with images in [-1, 1], by the names in `takes`.
            draws: what `draw` gave.
            moving: the players that move in this step; gradients flow into their networks.
        """

    def losses(self, player: str, batch: Tensors, draws: Tensors) -> Losses:
        """Computes what a player minimises on a batch, from draws that hold the shared part."""

    def sample(self, networks: Mapping[str, nn.Module], batch: Tensors) -> Samples:
        """Makes pictures with the networks given (averaged where there are averages)."""

    def network_table(self) -> dict[str, Any]:
        """The card's `network` table, from which the family rebuilds the networks."""

    def state_dict(self) -> Tensors:
        """What else must survive a stop."""

    def load_state_dict(self, state: Tensors) -> None:
        """Takes back what `state_dict` gave."""


@runtime_checkable
class LabelTranslation(Protocol):
    """An objective whose networks translate images to labels, and read labels off images."""

    def translate(
        self, networks: Mapping[str, nn.Module], image_BCHW: Tensor, label_BD: Tensor
    ) -> Tensor:
        """Translates images in [-1, 1] to labels; returns images of the same shape and range."""

    def classify(self, networks: Mapping[str, nn.Module], image_BCHW: Tensor) -> Tensor:
        """Label logits (B, K) of images in [-1, 1]."""


@runtime_checkable
class JudgesItself(Protocol):
    """An objective that judges its networks on held-out images in a way of its own."""

    def evaluate(self, networks: Mapping[str, nn.Module], held_out: Tensors) -> dict[str, float]:
        """Figures by name, of images in [-1, 1]."""


@runtime_checkable
class SizedModel(Protocol):
    """A family's `ModelConfig` of which something goes by the size of the images."""

    def for_size(self, image_size: int) -> Any:
        """Itself for a side in pixels, with nothing absent."""


class ObjectiveModule(Protocol):
    """What a family's module in `training` offers."""

    ModelConfig: type[Any]
    """Dataclass of the recipe's `model` table."""
    LossConfig: type[Any]
    """Dataclass of the recipe's `loss` table."""

    def create_objective(self, recipe: Any, labels: LabelSpace, *, num_steps: int) -> Objective:
        """Builds the objective that a resolved recipe asks for."""


def load_objective_module(family: str) -> ObjectiveModule:
    """Imports a family's objective by name.

    Raises:
        ConfigError: there is no such family.
    """
    if family not in OBJECTIVES:
        raise ConfigError(unknown_name("model family", family, OBJECTIVES))
    return cast(ObjectiveModule, importlib.import_module(OBJECTIVES[family]))
