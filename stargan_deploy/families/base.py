"""The base class of model families: networks, entry points, objective, presets, formats."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import CardError, ModelError, TrainingError, first_names
from stargan_deploy.families.blocks.relabelling import fit_labels
from stargan_deploy.families.distillation.base import Distillation
from stargan_deploy.families.objectives.base import Networks, Objective, ObjectiveRequest

MAX_NAMED = 3
"""Weights that a message names."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint's content in memory."""

    card: ModelCard
    tensors: dict[str, Tensor]
    recipe: dict[str, Any] | None = None
    """The resolved recipe of the training that wrote it; None if no training did."""

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix` and a dot, without it."""
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are NaN or infinite, of which every image would be black.

    Raises:
        ModelError: there are some.
    """
    bad = [
        name
        for name, tensor in weights.items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if bad:
        raise ModelError(
            f"{path} holds weights that are not finite: {first_names(bad, MAX_NAMED)}",
            hint="its training diverged; take an earlier checkpoint",
        )


@dataclass(frozen=True, kw_only=True)
class OfficialOptions:
    """Facts that an official checkpoint does not hold."""

    names: Sequence[str]
    """Attribute or domain names, in the order of the label."""
    discriminator_path: Path | None = None
    """Checkpoint of the discriminator, if there is one."""
    image_size: int | None = None
    """Side of the training images in pixels; None reads it off the weights where they tell it."""
    crop_size: int | None = None
    """Side of the centre crop during training, in pixels; 0 for no crop, None for what the official
    code takes for the kind of labels."""
    exclusive: Sequence[Sequence[str]] = ()
    """Groups of attributes of which an image has at most one; hair colours always are one."""
    domains: bool = False
    """Whether `names` are one-hot domains instead of attributes."""
    domain_names: Sequence[str] = ()
    """Names of one-hot domains, which follow the attributes where there are both (joint training).
    """
    unnamed: bool = False
    """Whether names that are not as many as the labels are left out, and the labels called
    `UNNAMED` and a number, for those who want the other weights alone."""


UNNAMED = "unnamed label"
"""Beginning of the names of labels that nobody named."""


@dataclass(frozen=True, kw_only=True)
class Direction:
    """The domains that an entry point leads between."""

    takes: str
    """Name, in a batch of the training, of the images that go in: "image_a"."""
    makes: str
    """Name of the images that the results should be like."""
    back: str
    """Entry point of the other direction."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """An empty table of a recipe."""


class Family(ABC):
    """A family of models. Subclasses hold no state: one instance serves every model."""

    name: ClassVar[str]
    """Name in the registry, in recipes and in model cards."""
    model_config: ClassVar[type[Any]] = NoSettings
    """Dataclass of a recipe's `model` table."""
    loss_config: ClassVar[type[Any]] = NoSettings
    """Dataclass of a recipe's `loss` table."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Recipes to start from, by name; a recipe that names none takes the family's namesake."""
    distillation: ClassVar[Distillation | None] = None
    """How its networks are made smaller; None where they cannot be."""
    official_suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of the original authors' checkpoints that `read_official` reads."""

    @abstractmethod
    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Build the networks by role, with fresh weights, from the card's `network` table."""

    @abstractmethod
    def entry_points(self, networks: Networks, card: ModelCard) -> dict[str, EntryPoint]:
        """List what the networks can do; file names and hashes are left empty."""

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build networks and losses for a training.

        Raises:
            TrainingError: the family has no losses.
        """
        raise TrainingError(f"models of the family {self.name} cannot be trained")

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        """Roles of all networks behind an entry point."""
        return ("generator",)

    def entry_module(self, networks: Networks, entry_point: str) -> nn.Module:
        """A module in eval mode whose arguments are the entry point's inputs, in their order.

        Raises:
            CardError: the model was saved without a network that the entry point needs.
        """
        (role,) = self.entry_networks(entry_point)
        if role not in networks:
            raise CardError(f"this model has no {entry_point!r}: it was saved without its {role}")
        return networks[role].eval()

    def direction(self, entry_point: str) -> Direction | None:
        """The domains that an entry point leads between; None where there are no two domains."""
        return None

    def resolve_model(self, model: Any, image_size: int) -> Any:
        """Fill in the settings of a `model_config` that depend on the image size in pixels."""
        return model

    def label_layers(self, role: str) -> Mapping[str, int]:
        """List the tensors by which labels enter or leave a network: axis by key.

        The last channels along the axis are the labels', see `label_channels`.
        """
        return {}

    def label_channels(self, role: str, labels: LabelSpace) -> Sequence[str]:
        """Name the channels of a network's `label_layers`, in their order."""
        return labels.names

    def relabel(
        self,
        role: str,
        weights: Mapping[str, Tensor],
        fresh: Mapping[str, Tensor],
        *,
        old: LabelSpace,
        new: LabelSpace,
    ) -> dict[str, Tensor]:
        """Fit a network's weights to other labels, in its `label_layers`.

        Args:
            role: the network's role.
            weights: weights trained for the labels `old`.
            fresh: weights of a new network for the labels `new`; labels not in `old` keep these.
            old: the labels behind `weights`.
            new: the labels wanted.

        Raises:
            ModelError: the networks differ in more than their labels.
        """
        old_names, new_names = (self.label_channels(role, labels) for labels in (old, new))
        fitted = dict(weights)
        for key, axis in self.label_layers(role).items():
            fitted = fit_labels(fitted, fresh, key, axis=axis, old=old_names, new=new_names)
        return fitted

    def notes(self, network: Mapping[str, Any]) -> tuple[str, ...]:
        """Notes for the user of such a model, one sentence each, for the card."""
        return ()

    def recognises_official(self, content: Any) -> bool:
        """Whether the content of a file that `torch.save` wrote is an official checkpoint."""
        return False

    def read_official(self, path: Path, options: OfficialOptions) -> Checkpoint:
        """Read a checkpoint of the original authors' code.

        Raises:
            ModelError: not such a checkpoint, or the family knows no official format.
            LabelError: the number of names is not the number of the checkpoint's labels.
            UsageError: an image size that contradicts the weights.
        """
        raise ModelError(
            f"{path} cannot be read as a {self.name}",
            hint=f"no official format of the {self.name} family is known",
        )

    def official_companion(self, path: Path) -> Path | None:
        """The discriminator's official checkpoint in the folder of the generator's, if any."""
        return None
