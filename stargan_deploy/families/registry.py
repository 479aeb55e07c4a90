"""Families of models by name: how a card becomes networks, and networks become entry points."""

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import CardError, unknown_name

FAMILIES = {
    "stargan": "stargan_deploy.families.stargan.networks",
    "gan": "stargan_deploy.families.gan.networks",
    "dcgan": "stargan_deploy.families.dcgan.networks",
    "cgan": "stargan_deploy.families.cgan.networks",
    "pix2pix": "stargan_deploy.families.pix2pix.networks",
    "cyclegan": "stargan_deploy.families.cyclegan.networks",
    "progan": "stargan_deploy.families.progan.networks",
}
"""Module of each family, imported on use; each satisfies `Family`."""


class Family(Protocol):
    """What a module in `models` offers under the name of its family."""

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Networks with fresh weights by role, from the card's `network` table."""

    def entry_points(
        self, networks: Mapping[str, nn.Module], card: ModelCard
    ) -> dict[str, EntryPoint]:
        """What these networks can do, with named inputs and outputs (file and hash left empty)."""

    def entry_module(self, networks: Mapping[str, nn.Module], entry_point: str) -> nn.Module:
        """A module in eval mode whose arguments are the entry point's inputs, in their order."""

    def relabel(
        self,
        role: str,
        weights: Mapping[str, Tensor],
        fresh: Mapping[str, Tensor],
        *,
        old: LabelSpace,
        new: LabelSpace,
    ) -> dict[str, Tensor]:
        """A network's weights for other labels: those of matching labels kept, others fresh."""

    def notes(self, network: Mapping[str, Any]) -> tuple[str, ...]:
        """What a user should know of such a model, in a sentence each, for the card."""

    def entry_network(self, entry_point: str) -> str:
        """Role of the network whose weights stand behind an entry point."""


def load_family(name: str) -> Family:
    """Imports a family by name.

    Raises:
        CardError: there is no such family.
    """
    if name not in FAMILIES:
        raise CardError(unknown_name("model family", name, FAMILIES))
    return cast(Family, importlib.import_module(FAMILIES[name]))
