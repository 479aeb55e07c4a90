"""Formats of artefacts by name: what a module must offer to be exported to and proven."""

import importlib
from pathlib import Path
from typing import Protocol, cast

from stargan_deploy.card import EntryPoint, ModelCard
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.exporters.pixels import PixelModule

FORMATS = {"onnx": "stargan_deploy.exporters.to_onnx"}
"""Module of each format, imported on use; each satisfies `Format`."""


class Format(Protocol):
    """What a module in `exporters` offers under the name of its format."""

    SUFFIX: str
    """Ending of the artefact's files."""
    BACKEND: str
    """The backend that will run the artefact, and that therefore has to prove it."""

    def write_graph(self, module: PixelModule, point: EntryPoint, path: Path) -> None:
        """Writes one entry point, without a card.

        Args:
            module: in eval mode.
            point: the names, types and dimensions that the graph must have.
            path: where to write.

        Raises:
            ExportError: the module cannot be expressed in this format.
        """

    def payload_sha256(self, path: Path) -> str:
        """SHA-256 of a written graph without its card."""

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into a written file, in place of one that is there."""

    def measured_precision(self, path: Path) -> dict[str, str]:
        """Types of the weights in a written graph, by kind of layer."""


def load_format(name: str) -> Format:
    """Imports a format by name.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(unknown_name("format", name, FORMATS))
    return cast(Format, importlib.import_module(FORMATS[name]))
