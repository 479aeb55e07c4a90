"""The base class of objectives: what the trainer knows of a family's losses.

The trainer knows networks, players, updates, phases and losses; it does not know StarGAN. It writes
nothing into an objective: wrapped networks and ranks come with each call, and everything random in
a step is drawn from a generator seeded by (seed, step).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.card import Teacher
from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.config import refuse_below
from stargan_deploy.distributed import Ranks

Tensors = dict[str, Tensor]
"""Named tensors: a batch as the data provides it, or the draws of a step."""


Networks = Mapping[str, nn.Module]
"""Networks by role."""

AUXILIARY = "objective."
"""Beginning of the roles of networks that a training needs and its model does not: checkpoints hold
them among the training's state, and a finished model leaves them out."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """The settings of a recipe's `train` table from which most families make their players."""

    generator_lr: float = 1e-4
    """Adam's learning rate for the generator."""
    discriminator_lr: float = 1e-4
    """Adam's learning rate for the discriminator."""
    beta1: float = 0.5
    """Adam's decay of the first moment."""
    beta2: float = 0.999
    """Adam's decay of the second moment."""
    critic_steps: int = 5
    """Discriminator steps per generator step."""

    def __post_init__(self) -> None:
        refuse_below(1, {"critic_steps": self.critic_steps})
        for name in ("generator_lr", "discriminator_lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class ObjectiveRequest:
    """Everything that a family makes an objective from."""

    model: Any
    """The recipe's `model` table, as the family's `model_config`."""
    loss: Any
    """The recipe's `loss` table, as the family's `loss_config`."""
    labels: LabelSpace
    """The labels of the training data."""
    image_size: int
    """Side of the training images in pixels."""
    batch_size: int
    """Images per step."""
    num_steps: int
    """Length of the training."""
    optimizers: OptimizerSettings = field(default_factory=OptimizerSettings)
    data_kind: str = ""
    """Kind of the training data, for messages."""
    label_shares: tuple[float, ...] = ()
    """Share of the training images that have each label, among those of its set; empty where there
    are no labels or no images."""


@dataclass(frozen=True, kw_only=True)
class Player:
    """Networks that share one Adam optimizer."""

    name: str
    networks: tuple[str, ...]
    """Roles of its networks."""
    learning_rate: float
    betas: tuple[float, float]
    """Adam's decay of the first and the second moment."""
    weight_decay: float = 0.0
    """Adam's L2 penalty on the weights."""
    network_rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates of the networks that do not take the player's, by role."""

    def rate_of(self, role: str) -> float:
        """The learning rate of one of its networks."""
        return self.network_rates.get(role, self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class Update:
    """One descent on one loss; several updates in a step may move the same networks."""

    name: str
    """Name under which `Objective.losses` knows its loss."""
    players: tuple[str, ...]
    """Names of the players whose optimizers step."""
    networks: tuple[str, ...]
    """Roles of the networks that receive gradients; the players' other networks stay."""
    every: int = 1
    """The update takes place once every so many steps."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training at one image size and batch size."""

    num_steps: int
    image_size: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The loss of one update and the terms it consists of."""

    total: Tensor
    terms: Mapping[str, Tensor]
    """Unweighted terms by their names in the metrics."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Images that show the state of a training."""

    images: Tensor
    """(rows, columns, 3, H, W) in [-1, 1]."""
    headings: tuple[str, ...] = ()
    """One heading per column."""


@dataclass(frozen=True)
class Training:
    """The surroundings in which losses are computed."""

    called: Networks
    """Networks to call where they are trained, by role: the objective's own, or wrappers around
    them that average gradients over the ranks."""
    ranks: Ranks = field(default_factory=Ranks)
    """The processes that train together."""


class Objective(ABC):
    """A family's networks with the losses that train them.

    Args:
        networks: trainable networks by role.
        network_table: the card's `network` table, from which the family rebuilds the networks.
        players: groups of networks with an optimizer each.
        updates: the updates of a step, in their order.
        phases: the stretches of the training, in order.
        labels: the labels that the networks take.
    """

    averaged: tuple[str, ...] = ("generator",)
    """Roles of the networks of which a moving average is kept."""
    grows: bool = False
    """Whether parts of the networks come into use later than others."""
    takes: tuple[str, ...] = ("image",)
    """Names of the images in a batch that the losses need."""
    takes_references: bool = False
    """Whether a batch has two references of one domain for each image, all domains equally often:
    `reference`, `reference_2` and `reference_label` (B, D)."""
    warms_up_averages: bool = True
    """Whether the averages forget the first weights sooner than their decay says."""

    teacher: Teacher | None = None
    """The model whose student is trained, for the card."""

    def __init__(
        self,
        networks: dict[str, nn.Module],
        *,
        network_table: Mapping[str, Any],
        players: tuple[Player, ...],
        updates: tuple[Update, ...],
        phases: tuple[Phase, ...],
        labels: LabelSpace = NO_LABELS,
    ) -> None:
        self.networks = networks
        self.players = players
        self.updates = updates
        self.phases = phases
        self.labels = labels
        self.frozen: dict[str, nn.Module] = {}
        """Networks that the losses use and that are not trained."""
        self._network_table = dict(network_table)

    @abstractmethod
    def draw(self, batch: Tensors, random: torch.Generator) -> Tensors:
        """Draw everything random in a step, on the CPU, for the batch of all ranks.

        `batch["label"]` (B, D) has that batch's rows; D may be 0.
        """

    @abstractmethod
    def share(
        self, batch: Tensors, draws: Tensors, due: tuple[str, ...], training: Training
    ) -> Tensors:
        """Compute once what the losses of several updates need; the result joins the draws.

        Args:
            batch: images in [-1, 1] by the names in `takes`, and labels.
            draws: what `draw` returned.
            due: names of this step's updates; gradients flow into their networks.
            training: networks to call, and ranks.
        """

    @abstractmethod
    def losses(self, update: str, batch: Tensors, draws: Tensors, training: Training) -> Losses:
        """The loss that an update descends on, from draws that hold the shared part."""

    @abstractmethod
    def sample(self, networks: Networks, batch: Tensors) -> Samples:
        """Make images with the networks given (averaged where there are averages)."""

    def begin_step(self, step: int) -> None:  # noqa: B027 - optional
        """Prepare for a step, counted from 0; networks grow here, by the step's number alone."""

    def held_out_figures(
        self, networks: Mapping[str, nn.Module], batches: Iterable[Tensors]
    ) -> dict[str, float]:
        """Figures of the finished networks for the model card, by name; none by default.

        Args:
            networks: networks by role, in eval mode, averaged where there are averages.
            batches: all images held out of the training, in [-1, 1], with their labels; read when
                iterated over.
        """
        return {}

    @property
    def evaluated(self) -> "Objective":
        """The objective that says how its networks are evaluated."""
        return self

    def network_table(self) -> dict[str, Any]:
        """The card's `network` table, from which the family rebuilds the networks."""
        return dict(self._network_table)

    def state_dict(self) -> Tensors:
        """Everything besides networks and optimizers that a resumed training needs."""
        return {}

    def load_state_dict(self, state: Tensors) -> None:  # noqa: B027 - optional
        """Restore what `state_dict` returned."""


class LabelTranslation(ABC):
    """An objective whose networks translate images to labels, and classify images."""

    @abstractmethod
    def translate(self, networks: Networks, image_BCHW: Tensor, label_BD: Tensor) -> Tensor:
        """Translate images in [-1, 1] to labels; the result has the same shape and range."""

    @abstractmethod
    def classify(self, networks: Networks, image_BCHW: Tensor) -> Tensor:
        """Label logits (B, K) of images in [-1, 1]."""


class SelfEvaluating(ABC):
    """An objective that evaluates its networks on held-out images in a way of its own."""

    @abstractmethod
    def evaluate(self, networks: Networks, held_out: Tensors) -> dict[str, float]:
        """Figures by name, from images in [-1, 1]."""
