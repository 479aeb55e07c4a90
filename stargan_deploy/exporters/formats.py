"""Formats of artefacts by name: what a module must offer to be exported to and proven."""

import dataclasses
import importlib
from pathlib import Path
from typing import Protocol, cast

from stargan_deploy.card import EntryPoint, ModelCard
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.exporters.pixels import PixelModule

FORMATS = {"onnx": "stargan_deploy.exporters.to_onnx"}
"""Module of each format, imported on use; each satisfies `Format`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrittenGraph:
    """What the card has to say of a graph that was written."""

    payload_sha256: str
    """SHA-256 of the graph without its card, as the runtime checks it."""
    precision: dict[str, str]
    """Types of the weights that the graph computes with, by kind of layer."""


class Format(Protocol):
    """What a module in `exporters` offers under the name of its format."""

    SUFFIX: str
    """Ending of the artefact's files."""
    BACKEND: str
    """The backend that will run the artefact, and that therefore has to prove it."""

    def write_graph(self, module: PixelModule, point: EntryPoint, path: Path) -> WrittenGraph:
        """Writes one entry point, without a card.

        Args:
            module: in eval mode.
            point: the names, types and dimensions that the graph must have.
            path: where to write.

        Returns:
            What was written.

        Raises:
            ExportError: the module cannot be expressed in this format.
        """

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into a written file, in place of one that is there."""


def load_format(name: str) -> Format:
    """Imports a format by name.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(unknown_name("format", name, FORMATS))
    return cast(Format, importlib.import_module(FORMATS[name]))
