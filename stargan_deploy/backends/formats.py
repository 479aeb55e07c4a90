"""Formats of artefacts by name: what a module must offer to be exported to and proven."""

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import Difference
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision
from stargan_deploy.errors import UsageError, unknown_name

FORMATS = {
    "onnx": "stargan_deploy.backends.onnx.exporter",
    "trt": "stargan_deploy.backends.trt.exporter",
    "openvino": "stargan_deploy.backends.openvino.exporter",
    "pt2": "stargan_deploy.backends.pt2.exporter",
    "triton": "stargan_deploy.backends.triton.exporter",
}
"""Module of each format, imported on use; each satisfies `Format`."""

FORMAT_OF = {".onnx": "onnx", ".engine": "trt", ".xml": "openvino", ".pt2": "pt2"}
"""Format of a file, by its ending."""

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "onnx": ("fp32", "fp16", "int8"),
    "trt": ("fp16", "fp32"),
    "openvino": ("fp32", "bf16", "int8"),
    "pt2": ("fp32", "fp16", "bf16"),
    "triton": ("fp32", "fp16", "int8"),
}
"""Precisions of each format, the default first; there are no other combinations."""

RECOMMENDED: dict[str, tuple[tuple[str, Precision], ...]] = {
    "cpu": (("openvino", "bf16"), ("openvino", "fp32"), ("onnx", "fp32")),
    "cuda": (("onnx", "fp16"), ("pt2", "fp16"), ("onnx", "fp32")),
}
"""What a batch's `auto` exports to, by device: the first that can be made, proven, and passes the
gate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What only a TensorRT engine can be told."""

    provider: str = "auto"
    """"tensorrt", "tensorrt_rtx", or "auto" for the one that is installed."""
    opt_batch: int | None = None
    """Batch that the engine is tuned for; None takes the greatest."""
    optimization_level: int | None = None
    """How hard the builder tries, 0 to 5; None leaves it to the builder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """What quantisation measures with, apart from the faces that the result is proven on."""

    batches: Sequence[Arrays]
    """Inputs of the entry point by name, for collecting the ranges of activations."""
    held_out: Sequence[Arrays]
    """Others, for choosing the layers that stay in higher precision."""
    compare: Callable[[Arrays, Arrays], Difference]
    """How far a batch of outputs by name (second) is from FP32's (first)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphRequest:
    """One entry point to be written."""

    module: PixelModule
    """In eval mode, in FP32."""
    point: EntryPoint
    """Names, types and dimensions that the graph must have; limits of a `Dim` bound its sizes."""
    precision: Precision
    """What the convolutions shall compute in."""
    image_size: int
    """Side of the images of training in pixels, which a graph is tuned for."""
    device: str = "cpu"
    """What a format that compiles for a device compiles for: "cpu" or "cuda:N"."""
    graph: Path | None = None
    """The same entry point as ONNX, where the format's `source_precision` asked for it."""
    calibration: Calibration | None = None
    """With INT8."""
    engine: EngineOptions = EngineOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrittenGraph:
    """What the card has to say of a graph that was written."""

    payload_sha256: str
    """SHA-256 of the graph without its card, as the runtime checks it."""
    precision: dict[str, str]
    """Types that the graph computes with, read back from it, by kind of layer: "conv", "norm",
    "linear"; several joined by "+" in the order of the alphabet."""
    notes: tuple[str, ...] = ()
    """What the user should know, such as layers that stay in higher precision."""
    versions: tuple[str, ...] = ()
    """Packages whose versions belong into the card."""


class Format(Protocol):
    """What a module in `exporters` offers under the name of its format."""

    SUFFIX: str
    """Ending of the artefact's files; empty where an entry point becomes a folder."""
    BACKEND: str
    """The backend that will run the artefact, and that therefore has to prove it."""
    DEVICES: tuple[str, ...]
    """Devices that artefacts run on: "cpu", "cuda"."""
    RUNS_SOURCE: bool
    """Whether the artefact runs its ONNX graph as it is, so that the graph's proof is its own."""

    def source_precision(self, precision: Precision) -> Precision | None:
        """Precision of the ONNX graph that an artefact is made from; None where it needs none."""

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point, without a card.

        Args:
            request: what to write.
            path: the main file, in a folder of its own; files that belong to it go beside it,
                under names that start with its stem.

        Returns:
            What was written.

        Raises:
            ExportError: the module cannot be expressed in this format.
            BackendError: a library is missing, or does not fit the machine.
        """

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into (or beside) a written file atomically, in place of one that is there."""


def load_format(name: str) -> Format:
    """Imports a format by name.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(unknown_name("format", name, FORMATS))
    return cast(Format, importlib.import_module(FORMATS[name]))


def choose_precision(format: str, wanted: str | None) -> Precision:
    """The precision asked for, or a format's default; never another one than asked for.

    Raises:
        UsageError: no such format, or the format does not exist at this precision.
    """
    if format not in PRECISIONS:
        raise UsageError(unknown_name("format", format, PRECISIONS))
    offered = PRECISIONS[format]
    if wanted is None:
        return offered[0]
    if wanted not in offered:
        others = [name for name, known in PRECISIONS.items() if wanted in known]
        elsewhere = f"; {wanted} exists for: {', '.join(others)}" if others else ""
        raise UsageError(
            f"there is no {format} at precision {wanted!r}; {format} comes as {', '.join(offered)}"
            f"{elsewhere}"
        )
    return next(name for name in offered if name == wanted)
