"""Settles an export before anything is written: names, card, and whether it can succeed."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stargan_deploy.backends.exporter import EngineOptions, Exporter
from stargan_deploy.backends.registry import choose_precision, format_spec, load_exporter
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision, library_versions
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.devices import is_cuda_usable
from stargan_deploy.errors import ModelError, OutputError, UsageError
from stargan_deploy.export.existing import Existing, look_at_existing
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.proof.images import (
    CalibrationFaces,
    Faces,
    calibration_on_photos,
    calibration_on_synthetic_faces,
    every_other,
    photo_faces,
    proof_photos,
    synthetic_face,
)
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.families.objectives.base import Networks
from stargan_deploy.files.atomic import file_sha256

COMPANION_NAMES = {"classify": "classifier"}
"""Names of other entry points in file names, where they differ from the entry point's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """An export that can be made: the checkpoint is loaded, once, and the names are settled."""

    checkpoint: Path
    content: Checkpoint
    """The content of the checkpoint."""
    options: ExportOptions
    precision: Precision
    files: Mapping[str, Path]
    """Where each entry point goes, the main one first."""
    card: ModelCard
    """The artefact's card, still without hashes and verdicts."""
    networks: Networks
    """The checkpoint's networks, by role."""
    points: Mapping[str, EntryPoint]
    """The checkpoint's own entry points, as its networks take and give images."""
    proof_faces: Faces
    calibration: CalibrationFaces | None
    """For INT8 only."""
    existing: Existing = dataclasses.field(default_factory=Existing)
    """The files that exist at the destination."""

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.options.format


def plan_export(checkpoint: Path, *, out: Path, options: ExportOptions | None = None) -> ExportPlan:
    """Loads a checkpoint and settles the names of its export's files; writes nothing.

    Args:
        checkpoint: a file that `save_checkpoint` wrote.
        out: the main file (or folder, of a format that makes folders); those of the other entry
            points go next to it.
        options: None takes all defaults.

    Raises:
        UsageError: an unknown format or one that does not exist at the precision, options that do
            not go with the format, weights that are not there, an output that cannot be, or
            another one that `overwrite` does not allow to replace.
        ModelError: not a whole checkpoint.
        DataError: folders without photos.
        OutputError: the output's folder cannot be written.
        BackendError: a library that the format needs is missing.
    """
    options = options or ExportOptions()
    precision = choose_precision(options.format, options.precision)
    exporter = load_exporter(options.format)
    options = _with_device(options, exporter)
    _check_options(options, exporter, precision)
    suffix = format_spec(options.format).suffix
    if out.suffix.lower() != suffix and suffix:
        raise UsageError(f"`out` {out} must end in {suffix}, or in / where it is a folder")
    _check_is_checkpoint(checkpoint)
    content = load_checkpoint(checkpoint)
    card = _with_wanted_points(content.card, options)
    networks = build_model(content, weights=options.weights)
    files = name_files(card, out, suffix)
    _check_destinations(checkpoint, files, exporter, is_folder=not suffix)
    proof_faces, calibration = _faces(options, card, precision)
    settings = _settings(options, precision, calibration)
    artefact = _artefact_card(card, files, checkpoint, options, settings)
    existing = look_at_existing(files, artefact, exporter, overwrite=options.overwrite)
    return ExportPlan(
        checkpoint=checkpoint,
        content=content,
        options=options,
        precision=precision,
        files=files,
        card=artefact,
        networks=networks,
        points=card.entry_points,
        proof_faces=proof_faces,
        calibration=calibration,
        existing=existing,
    )


def _with_wanted_points(card: ModelCard, options: ExportOptions) -> ModelCard:
    """The card with the entry points that are to be exported."""
    points = card.entry_points.items()
    wanted = {name: p for name, p in points if p.is_stochastic == options.stochastic}
    if not wanted:
        raise UsageError("this model has no dropout at inference", hint="leave out `stochastic`")
    if options.max_size is not None:
        _check_size_is_open(wanted)
    return dataclasses.replace(card, entry_points=wanted)


def _check_size_is_open(points: Mapping[str, EntryPoint]) -> None:
    """Refuses a limit to the sizes of a model that has only one."""
    sizes = [size for point in points.values() if point.makes_images for size in point.sizes]
    if not any(dim.is_free for size in sizes for dim in size):
        fixed = " and ".join(dict.fromkeys("x".join(str(d.least) for d in size) for size in sizes))
        raise UsageError(
            f"`max_size` limits open sizes, and this model's is fixed at {fixed}",
            hint="leave it out",
        )


def checkpoint_sha256(checkpoint: Path) -> str:
    """SHA-256 of a checkpoint; an unchanged file is hashed once per process.

    Raises:
        ModelError: no such file.
    """
    try:
        status = checkpoint.stat()
    except OSError as error:
        raise ModelError(f"no such checkpoint: {checkpoint}") from error
    return _sha256_of_state(checkpoint, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256_of_state(checkpoint: Path, *_state: int) -> str:
    return file_sha256(checkpoint)


def _with_device(options: ExportOptions, exporter: Exporter) -> ExportOptions:
    """Settles the device of a format that is compiled for one; others are tried on all."""
    if not exporter.compiles_for_device or options.device is not None:
        return options
    return dataclasses.replace(options, device="cuda" if is_cuda_usable() else "cpu")


def _check_options(options: ExportOptions, exporter: Exporter, precision: Precision) -> None:
    """Refuses options that would have no effect."""
    if options.calibration is not None and precision != "int8":
        raise UsageError(
            f"`calibration` is for int8, and {precision} is not calibrated",
            hint="to prove the export on these photos, give them as `images`",
        )
    exporter.check_options(options.engine)
    if options.max_batch is not None and options.max_batch < 1:
        raise UsageError(
            f"`max_batch` {options.max_batch} is not a valid batch size", hint="give 1 or more"
        )


def _check_is_checkpoint(path: Path) -> None:
    if path.suffix.lower() != CHECKPOINT_SUFFIX and path.is_file():
        raise ModelError(
            f"{path} is not a checkpoint (*{CHECKPOINT_SUFFIX}), and only these can be exported",
            hint="give the one that an artefact was made from; an official .ckpt becomes one with: "
            "stargan-deploy convert",
        )


def name_files(card: ModelCard, out: Path, suffix: str) -> dict[str, Path]:
    """The files of an export by entry point, the main one's first.

    The main one is `out` itself, and the others have their entry point's name in theirs. Where
    several make images, and the main one takes more than an image and a label, it has too.

    Args:
        card: with the entry points to export.
        out: the main file.
        suffix: of the format; empty where it makes folders, whose names may hold dots.
    """
    stem = out.name.removesuffix(out.suffix) if suffix else out.name
    main = card.main_entry_point
    names = [main, *(name for name in card.entry_points if name != main)]
    files = {
        name: out.with_name(f"{stem}.{COMPANION_NAMES.get(name, name)}{suffix}") for name in names
    }
    num_making = sum(point.makes_images for point in card.entry_points.values())
    if num_making < 2 or not card.entry_points[main].further_inputs:
        files[main] = out
    return files


def _check_destinations(
    checkpoint: Path, files: Mapping[str, Path], exporter: Exporter, *, is_folder: bool
) -> None:
    for path in files.values():
        if path.is_dir() and not is_folder:
            raise UsageError(f"{path} is a folder", hint=f"write {path}/ to export into it")
        if is_folder:
            exporter.check_replaceable(path)
        if path.exists() and path.samefile(checkpoint):
            raise UsageError(f"{path} is the checkpoint itself", hint="choose another `out`")
    folder = next(iter(files.values())).absolute().parent
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{existing} is not writable", hint="choose another `out`")


def _faces(
    options: ExportOptions, card: ModelCard, precision: Precision
) -> tuple[Faces, CalibrationFaces | None]:
    """Faces to prove with, and for INT8 faces to quantise with: never the same photos."""
    calibration = None
    if precision == "int8":
        calibration = calibration_on_synthetic_faces()
        if options.calibration is not None:
            spare = options.images is None
            calibration = calibration_on_photos(
                options.calibration, card.preprocessing, spare=spare
            )
    used = calibration.used if calibration else ()
    if options.images is not None:
        return photo_faces(proof_photos(options.images, used), card.preprocessing), calibration
    if calibration is not None and calibration.spare:
        return photo_faces(calibration.spare, card.preprocessing), calibration
    return every_other(synthetic_face, 0), calibration


def _settings(
    options: ExportOptions, precision: Precision, calibration: CalibrationFaces | None
) -> dict[str, Any]:
    """The settings that decide what is in the files, for the card."""
    exporter = load_exporter(options.format)
    settings: dict[str, Any] = {
        "format": options.format,
        "precision": precision,
        "io": options.io,
        "max_batch": options.max_batch,
        "max_size": options.max_size,
        "stochastic": options.stochastic,
    }
    if exporter.compiles_for_device:
        settings["device"] = (options.device or "cpu").partition(":")[0]
    if options.engine != EngineOptions():
        settings["engine"] = dataclasses.asdict(options.engine)
    if calibration is not None:
        settings["calibration"] = calibration.facts
    return settings


def _artefact_card(
    card: ModelCard,
    files: Mapping[str, Path],
    checkpoint: Path,
    options: ExportOptions,
    settings: dict[str, Any],
) -> ModelCard:
    points = {
        name: dataclasses.replace(
            _with_limits(card.entry_points[name].with_io(options.io), card, options),
            file=path.name,
            payload_sha256="",
        )
        for name, path in files.items()
    }
    return dataclasses.replace(
        card,
        weights=options.weights or card.weights,
        entry_points=points,
        parents={"checkpoint": checkpoint_sha256(checkpoint)},
        precision={},
        export=settings,
        verdicts=(),
        unverified="not compared yet",
        versions=library_versions("torch"),
    )


def _with_limits(point: EntryPoint, card: ModelCard, options: ExportOptions) -> EntryPoint:
    """An entry point whose dimensions keep to the limits; an engine has some in any case."""
    is_bounded = load_exporter(options.format).is_bounded
    if options.max_size is not None:
        free = [dim.least for size in point.sizes for dim in size if dim.is_free]
        least = max(free, default=0)
        if options.max_size < least:
            raise UsageError(f"`max_size` {options.max_size} is too small; the least is {least}")
        point = point.limited(dict.fromkeys("HW", options.max_size))
    elif is_bounded:
        point = point.fixed(dict.fromkeys("HW", card.preprocessing.image_size))
    max_batch = options.max_batch or (ROWS_PER_CALL if is_bounded else None)
    return point if max_batch is None else point.limited({"N": max_batch})
