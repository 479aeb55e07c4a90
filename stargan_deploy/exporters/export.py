"""Exports a checkpoint of any family: every entry point of its card, proven, or nothing at all."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from torch import nn

from stargan_deploy.card import EntryPoint, ModelCard, Verdict, library_versions
from stargan_deploy.errors import ModelError, OutputError, UsageError
from stargan_deploy.exporters.formats import Format, load_format
from stargan_deploy.exporters.parity import FP32, Tolerance, prove
from stargan_deploy.exporters.pixels import PixelIO, PixelModule, with_io
from stargan_deploy.files import file_sha256, make_folder
from stargan_deploy.models.checkpoint import build_model, load_checkpoint
from stargan_deploy.models.family import load_family
from stargan_deploy.runtimes.choose import CHECKPOINT_SUFFIX, open_runtime
from stargan_deploy.runtimes.eager import EagerRuntime

MAIN_ENTRY_POINTS = ("translate", "sample")
"""The first of these that a model has gets the plain file name; without any, the first it has."""

COMPANION_NAMES = {"classify": "classifier"}
"""What is put into the file names of other entry points, where it is not their own name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """An export that can be made: the checkpoint is loaded and the names are settled."""

    checkpoint: Path
    format: str
    io: PixelIO
    files: Mapping[str, Path]
    """Where each entry point goes, the main one first."""
    card: ModelCard
    """The artefact's card, still without hashes and verdicts."""
    networks: Mapping[str, nn.Module]
    points: Mapping[str, EntryPoint]
    """The checkpoint's own entry points, as its networks take and give images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished and proven export."""

    card: ModelCard
    files: tuple[Path, ...]
    """The main file first."""
    verdicts: tuple[Verdict, ...]


def export(
    checkpoint: Path,
    *,
    out: Path,
    format: str = "onnx",
    weights: Literal["ema", "raw"] | None = None,
    io: PixelIO = "uint8",
    tolerance: Tolerance = FP32,
) -> ExportResult:
    """Exports a checkpoint and proves the result against eager FP32 PyTorch.

    Args:
        checkpoint: a file that `save_checkpoint` wrote.
        out: the main file; those of the other entry points come beside it.
        format: a name in `FORMATS`.
        weights: moving average or last weights; None takes the card's choice.
        io: what the graph takes and gives as images, see `exporters.pixels`.
        tolerance: how far the result may be from PyTorch's.

    Raises:
        UsageError: an unknown format, weights that are not there, or an output that cannot be.
        ModelError: not a whole checkpoint.
        ExportError: the model cannot be expressed in the format.
        ParityError: the result is out of tolerance. Nothing is left behind then.
        OutputError: the files cannot be written.
    """
    return carry_out(
        plan_export(checkpoint, out=out, format=format, weights=weights, io=io), tolerance
    )


def plan_export(
    checkpoint: Path,
    *,
    out: Path,
    format: str = "onnx",
    weights: Literal["ema", "raw"] | None = None,
    io: PixelIO = "uint8",
) -> ExportPlan:
    """Loads what is to be exported and settles the files' names; writes nothing.

    Args, Raises: as `export`.
    """
    suffix = load_format(format).SUFFIX
    if out.suffix.lower() != suffix:
        raise UsageError(f"--out {out} must end in {suffix}, or in / where it is a folder")
    _check_is_checkpoint(checkpoint)
    content = load_checkpoint(checkpoint)
    networks = build_model(content, weights=weights)
    files = _name_files(tuple(content.card.entry_points), out)
    _check_destinations(checkpoint, files)
    return ExportPlan(
        checkpoint=checkpoint,
        format=format,
        io=io,
        files=files,
        card=_artefact_card(content.card, files, checkpoint, weights, io),
        networks=networks,
        points=content.card.entry_points,
    )


def carry_out(plan: ExportPlan, tolerance: Tolerance = FP32) -> ExportResult:
    """Writes the files under the final names in a hidden folder, proves them, and moves them out.

    Raises:
        ExportError: the model cannot be expressed in the format.
        ParityError: the result is out of tolerance. Nothing is left behind then.
        OutputError: the files cannot be written.
    """
    target = load_format(plan.format)
    main, *_ = plan.files.values()
    with _staging(main) as folder:
        staged = {name: folder / path.name for name, path in plan.files.items()}
        card = _write(plan, target, staged)
        verdicts = _prove(plan, target, staged, tolerance)
        card = dataclasses.replace(card, verdicts=verdicts, unverified=None)
        for path in staged.values():
            target.attach_card(path, card)
        _publish(staged, plan.files)
    return ExportResult(card=card, files=tuple(plan.files.values()), verdicts=verdicts)


def default_name(checkpoint: Path) -> str:
    """What an artefact is called after: the run that the checkpoint stands in, else the file."""
    folder = checkpoint.resolve().parent
    return folder.parent.name if folder.name == "checkpoints" else checkpoint.stem


def _check_is_checkpoint(path: Path) -> None:
    if path.suffix.lower() != CHECKPOINT_SUFFIX and path.is_file():
        raise ModelError(
            f"{path} is not a checkpoint (*{CHECKPOINT_SUFFIX}), and only these can be exported: "
            "give the one that an artefact was made from; an official .ckpt becomes one with: "
            "stargan-deploy convert"
        )


def _name_files(entry_points: tuple[str, ...], out: Path) -> dict[str, Path]:
    main = next((name for name in MAIN_ENTRY_POINTS if name in entry_points), entry_points[0])
    files = {main: out}
    for name in entry_points:
        if name != main:
            files[name] = out.with_name(f"{out.stem}.{COMPANION_NAMES.get(name, name)}{out.suffix}")
    return files


def _check_destinations(checkpoint: Path, files: Mapping[str, Path]) -> None:
    for path in files.values():
        if path.is_dir():
            raise UsageError(f"{path} is a folder; write {path}/ to export into it")
        if path.exists() and path.samefile(checkpoint):
            raise UsageError(f"{path} is the checkpoint itself; choose another --out")
    folder = next(iter(files.values())).absolute().parent
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{existing} is not a folder one can write to; choose another --out")


def _artefact_card(
    card: ModelCard,
    files: Mapping[str, Path],
    checkpoint: Path,
    weights: Literal["ema", "raw"] | None,
    io: PixelIO,
) -> ModelCard:
    points = {
        name: dataclasses.replace(
            with_io(card.entry_points[name], io), file=path.name, payload_sha256=""
        )
        for name, path in files.items()
    }
    return dataclasses.replace(
        card,
        weights=weights or card.weights,
        entry_points=points,
        parents={"checkpoint": file_sha256(checkpoint)},
        precision={},
        verdicts=(),
        unverified="not compared yet",
        versions=library_versions("torch", "onnx", "onnxscript"),
    )


def _write(plan: ExportPlan, target: Format, staged: Mapping[str, Path]) -> ModelCard:
    """Writes all entry points with a card that has their hashes and precision, but no verdict."""
    family = load_family(plan.card.family)
    points, precision = dict(plan.card.entry_points), dict[str, str]()
    for name, path in staged.items():
        network = family.entry_module(plan.networks, name)
        module = PixelModule(network, plan.points[name], plan.io).eval()
        written = target.write_graph(module, points[name], path)
        points[name] = dataclasses.replace(points[name], payload_sha256=written.payload_sha256)
        precision = _joined(precision, written.precision)
    card = dataclasses.replace(plan.card, entry_points=points, precision=precision)
    for path in staged.values():
        target.attach_card(path, card)
    return card


def _joined(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """The precisions of several graphs by kind of layer."""
    joined = dict(first)
    for kind, names in second.items():
        known = joined.get(kind, names).split("+")
        joined[kind] = "+".join(sorted({*known, *names.split("+")}))
    return joined


def _prove(
    plan: ExportPlan, target: Format, staged: Mapping[str, Path], tolerance: Tolerance
) -> tuple[Verdict, ...]:
    main, *_ = staged.values()
    reference = EagerRuntime(plan.checkpoint, device="cpu", weights=plan.card.weights)
    candidate = open_runtime(main, backend=target.BACKEND, device="cpu")
    with reference, candidate:
        return prove(reference, candidate, tolerance)


@contextmanager
def _staging(main: Path) -> Iterator[Path]:
    """A hidden folder beside the destination, on the same file system, gone afterwards."""
    make_folder(main.parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{main.stem[:80]}.", dir=main.parent))
    except OSError as error:
        raise OutputError(
            f"cannot write to {main.parent}: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        yield folder
    except OSError as error:
        raise OutputError(
            f"cannot write {main}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(staged: Mapping[str, Path], files: Mapping[str, Path]) -> None:
    """Moves the files to their places, the main one last: where it is, the others are too."""
    for path in staged.values():
        with open(path, "rb+") as stream:
            os.fsync(stream.fileno())
    for name in reversed(list(files)):
        staged[name].replace(files[name])
