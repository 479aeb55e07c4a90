"""The base of every exporter, and the requests and answers that it deals in."""

import contextlib
import dataclasses
import io
import logging
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stargan_deploy.backends.base import Arrays
from stargan_deploy.backends.difference import Difference
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision, library_versions
from stargan_deploy.errors import ExportError, UsageError

if TYPE_CHECKING:
    from stargan_deploy.backends.pixel_graph import PixelModule


_SILENCE = threading.RLock()
"""Silence holds in all threads, so each has to find the state as it was."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Settings of TensorRT's builder."""

    provider: str = "auto"
    """tensorrt, tensorrt_rtx, or auto for the one that is installed."""
    opt_batch: int | None = None
    """Batch size that the engine is optimised for; None takes the largest."""
    optimization_level: int | None = None
    """How hard the builder tries, 0 to 5; None takes the builder's own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Inputs for quantisation, apart from the faces that the result is proven on."""

    batches: Sequence[Arrays]
    """Inputs of the entry point by name, for collecting the ranges of activations."""
    held_out: Sequence[Arrays]
    """Others, for choosing the layers that stay in higher precision."""
    compare: Callable[[Arrays, Arrays], Difference]
    """How far a batch of outputs by name (second) is from FP32's (first)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphRequest:
    """One entry point to be written."""

    module: "PixelModule"
    """In eval mode, in FP32."""
    point: EntryPoint
    """Names, types and dimensions that the graph must have; limits of a `Dim` bound its sizes."""
    precision: Precision
    """Precision of the convolutions."""
    image_size: int
    """Side of the images of training in pixels, which a graph is tuned for."""
    device: str = "cpu"
    """Device to compile for, where the format does: "cpu" or "cuda:N"."""
    graph: Path | None = None
    """The same entry point as ONNX, where the exporter's `source_precision` asked for it."""
    calibration: Calibration | None = None
    """Given with INT8."""
    engine: EngineOptions = EngineOptions()
    """Settings of TensorRT's builder."""
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What people should read in a viewer of graphs, by name; "description" is a sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrittenGraph:
    """The facts about a written graph that go into the card."""

    payload_sha256: str
    """SHA-256 of the graph without its card, as the runtime checks it."""
    precision: dict[str, str]
    """Types that the graph computes with, read back from it, by kind of layer: "conv", "norm",
    "linear"; several joined by "+" in the order of the alphabet."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, such as layers that stay in higher precision."""
    packages: tuple[str, ...] = ()
    """Packages whose versions belong in the card."""


class Exporter(ABC):
    """Writes the entry points of a checkpoint in one format, with a card in each file.

    `export.export` asks for a source graph where there is one, writes all entry points with
    `write`, runs the result in the runtime that will serve it, and attaches the card again with
    the verdicts.
    """

    runs_source = False
    """Whether the artefact runs its ONNX graph as it is, so that the graph's proof is its own."""
    compiles_for_device = False
    """Whether an artefact runs on one kind of device only, which is then chosen before the export.
    """
    is_bounded = False
    """Whether the graph must have a greatest batch and size."""

    def source_precision(self, precision: Precision) -> Precision | None:  # noqa: ARG002 - a default
        """Precision of the ONNX graph that an artefact is made from; None where it needs none."""
        return None

    def check_options(self, options: EngineOptions) -> None:
        """Refuses settings of TensorRT's builder that this exporter does not have.

        Raises:
            UsageError: they would have no effect, or do not fit.
            BackendError: the library is missing or does not load.
        """
        if options != EngineOptions():
            raise UsageError(
                "`provider`, `opt_batch` and `optimization_level` steer TensorRT's builder and do "
                "nothing for another `format`"
            )

    def side_files(self, path: Path) -> tuple[Path, ...]:  # noqa: ARG002 - a default
        """The files that belong to a main file and lie next to it."""
        return ()

    def graph_file(self, path: Path) -> Path:
        """The file that the format's runtime opens, for a file or folder of an export."""
        return path

    def check_replaceable(self, folder: Path) -> None:  # noqa: B027 - a default
        """Refuses to replace a folder that holds more than an earlier export.

        Raises:
            UsageError: something else would be lost.
        """

    @abstractmethod
    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point, without a card.

        Args:
            request: what to write.
            path: the main file, in a folder of its own; files that belong to it go next to it,
                under names that start with its stem.

        Raises:
            ExportError: the module cannot be expressed in this format.
            BackendError: a library is missing, or does not fit the machine.
        """

    @abstractmethod
    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into (or next to) a written file atomically, replacing an earlier one."""

    def write(
        self, requests: Mapping[str, GraphRequest], files: Mapping[str, Path], card: ModelCard
    ) -> ModelCard:
        """Writes all entry points, each with the artefact's card.

        Args:
            requests: what to write, by entry point; their points lack hashes.
            files: the main file of each entry point.
            card: the artefact's card, without hashes, measured precision and verdicts.

        Returns:
            The card as it is in the files, with hashes and precision but no verdict.

        Raises:
            ExportError, BackendError: as `write_graph`.
        """
        points, written = dict(card.entry_points), list[WrittenGraph]()
        for name, path in files.items():
            written.append(self.write_graph(requests[name], path))
            sha256 = written[-1].payload_sha256
            points[name] = dataclasses.replace(points[name], payload_sha256=sha256)
        packages = {package for graph in written for package in graph.packages}
        card = dataclasses.replace(
            card,
            entry_points=points,
            precision=types_by_kind(
                (kind, types.split("+"))
                for graph in written
                for kind, types in graph.precision.items()
            ),
            notes=tuple(dict.fromkeys((*card.notes, *(n for g in written for n in g.notes)))),
            versions={**card.versions, **library_versions(*sorted(packages))},
        )
        for path in files.values():
            self.attach_card(path, card)
        return card


@contextlib.contextmanager
def quiet(*, stdout: bool = False) -> Iterator[None]:
    """Keeps a library's log lines and warnings from the user; one thread at a time.

    Args:
        stdout: whether to drop what is printed too.
    """
    with _SILENCE, contextlib.ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)  # torch logs what it raises too, at length
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if stdout:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


def types_by_kind(layers: Iterable[tuple[str, Iterable[str]]]) -> dict[str, str]:
    """The types that layers compute in, by kind of layer, as a card's `precision` has them.

    Args:
        layers: kind and types of each.
    """
    found: dict[str, set[str]] = {}
    for kind, types in layers:
        found.setdefault(kind, set()).update(types)
    return {kind: "+".join(sorted(types)) for kind, types in sorted(found.items()) if types}


def check_lowered(measured: Mapping[str, str], precision: Precision, type_name: str) -> None:
    """Refuses a graph from torch whose layers do not compute in what was asked for.

    Args:
        measured: types by kind of layer.
        precision: the one asked for.
        type_name: its type, for convolutions and linear layers; norms compute in float32.

    Raises:
        ExportError: they do not.
    """
    wanted = {"conv": type_name, "linear": type_name, "norm": "float32"}
    wrong = [f"{kind} in {found}" for kind, found in measured.items() if found != wanted[kind]]
    if wrong:
        raise ExportError(
            f"the graph does not compute in {precision}: {', '.join(wrong)}",
            hint="" if precision == "fp32" else "export it at fp32",
        )
