"""Exports a checkpoint of any family: every entry point of its card, proven, or nothing at all."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from stargan_deploy.backends.difference import TOLERANCES, Tolerance
from stargan_deploy.backends.exporter import Exporter, GraphRequest
from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.registry import SOURCE, format_spec, load_exporter
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision, Verdict
from stargan_deploy.errors import OutputError, ParityError
from stargan_deploy.export.about import describe_entry
from stargan_deploy.export.leftovers import LOCK, SUFFIX, prefix_of, remove_leftovers, write_journal
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.plan import ExportPlan, plan_export
from stargan_deploy.export.proof.calibration import make_calibration
from stargan_deploy.export.proof.compare import check_passed
from stargan_deploy.export.proof.proof import Proof, prove_artefact
from stargan_deploy.export.proof.rounding import measure_rounding
from stargan_deploy.export.proof.worst_images import save_worst_images
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.atomic import make_folder

SOURCE_FOLDER = "source"
"""Folder, inside the hidden one, of the ONNX graphs that other formats are made from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A finished export."""

    card: ModelCard
    files: tuple[Path, ...]
    """The main file of each entry point, the main one's first."""
    verdicts: tuple[Verdict, ...]
    """All passed; those of the source graph, if the card says why the artefact is unverified."""
    was_there: bool = False
    """Whether the same export was there already, so that nothing was written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Task:
    """Files to be written in one format."""

    target: Exporter
    files: Mapping[str, Path]
    precision: Precision
    source: Mapping[str, Path]
    """The ONNX graphs that they are made from."""


def export(
    checkpoint: Path,
    *,
    out: Path,
    options: ExportOptions | None = None,
    tolerance: Tolerance | None = None,
    report: Path | None = None,
) -> ExportResult:
    """Exports a checkpoint and proves the result against eager FP32 PyTorch.

    Args, Raises: as `plan_export` and `run_export`.
    """
    return run_export(
        plan_export(checkpoint, out=out, options=options), tolerance=tolerance, report=report
    )


def run_export(
    plan: ExportPlan, *, tolerance: Tolerance | None = None, report: Path | None = None
) -> ExportResult:
    """Writes the files in a hidden folder, proves them there, and moves them to their place.

    Where the same export is there already, nothing is written.

    Args:
        plan: a plan from `plan_export`.
        tolerance: greatest difference from PyTorch; None takes the precision's.
        report: folder for the worst images with their differences, saved also on failure.

    Raises:
        ExportError: the model cannot be expressed in the format.
        ParityError: the result is out of tolerance. Nothing is left behind then.
        BackendError: a library that the format needs does not fit the machine.
        OutputError: the files cannot be written.
    """
    if (card := plan.existing.same) is not None:
        files = tuple(plan.files.values())
        return ExportResult(card=card, files=files, verdicts=card.verdicts, was_there=True)
    target = load_exporter(plan.format)
    main, *_ = plan.files.values()
    with _staging(main) as folder:
        source = _write_source(plan, target, folder / SOURCE_FOLDER)
        staged = {name: folder / path.name for name, path in plan.files.items()}
        task = _Task(target=target, files=staged, precision=plan.precision, source=source)
        card = _write(plan, task, plan.card)
        proven = source if target.runs_source and source else staged
        proof = prove_artefact(plan, proven, source, tolerance or TOLERANCES[plan.precision])
        if report is not None:
            save_worst_images(report, proof.comparisons)
        _check_passed(plan, proof)
        verdicts = tuple(comparison.verdict for comparison in proof.comparisons)
        card = dataclasses.replace(card, verdicts=verdicts, unverified=proof.unverified)
        for path in staged.values():
            target.attach_card(path, card)
        shutil.rmtree(folder / SOURCE_FOLDER, ignore_errors=True)
        _publish(folder, main)
    return ExportResult(card=card, files=tuple(plan.files.values()), verdicts=card.verdicts)


def _check_passed(plan: ExportPlan, proof: Proof) -> None:
    """Refuses what is out of tolerance; in half precision it says which layers lose most.

    Raises:
        ParityError: an entry point did not pass.
    """
    try:
        check_passed(proof.comparisons)
    except ParityError as error:
        failed = next(each.verdict for each in proof.comparisons if not each.verdict.passed)
        found = measure_rounding(
            plan.content, plan.card, failed.entry_point, plan.precision, plan.proof_faces
        )
        if found is not None:
            error.message += f"; {found.describe(plan.precision)}"
            error.hint = "export with `precision` fp32; a longer training may pass"
        raise


def _write_source(plan: ExportPlan, target: Exporter, folder: Path) -> dict[str, Path]:
    """Writes the ONNX graphs that the format is made from, with cards of their own."""
    precision = target.source_precision(plan.precision)
    if precision is None:
        return {}
    folder.mkdir()
    files = {name: folder / f"{name}{format_spec(SOURCE).suffix}" for name in plan.files}
    points = {
        name: dataclasses.replace(point, file=files[name].name)
        for name, point in plan.card.entry_points.items()
    }
    card = dataclasses.replace(plan.card, entry_points=points)
    task = _Task(target=load_exporter(SOURCE), files=files, precision=precision, source={})
    _write(plan, task, card)
    return files


def _write(plan: ExportPlan, task: _Task, card: ModelCard) -> ModelCard:
    """Writes all entry points with a card that has their hashes and precision, but no verdict."""
    points = card.entry_points
    requests = {name: _request(plan, task, name, points[name]) for name in task.files}
    return task.target.write(requests, task.files, card)


def _request(plan: ExportPlan, task: _Task, name: str, point: EntryPoint) -> GraphRequest:
    network = load_family(plan.card.family).entry_module(plan.networks, name)
    calibration = None
    if plan.calibration and task.precision == "int8" and not task.target.runs_source:
        calibration = make_calibration(point, plan.card, plan.calibration)
    return GraphRequest(
        module=PixelModule(network, plan.points[name], plan.options.io).eval(),
        point=point,
        precision=task.precision,
        image_size=plan.card.preprocessing.image_size,
        device=plan.options.device or "cpu",
        graph=task.source.get(name),
        calibration=calibration,
        engine=plan.options.engine,
        about=describe_entry(name, point, plan.card),
    )


@contextmanager
def _staging(main: Path) -> Iterator[Path]:
    """A hidden folder next to the destination, on the same file system, removed afterwards.

    Folders of killed exports of the same file are removed too.
    """
    make_folder(main.parent)
    remove_leftovers(main)
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix_of(main), suffix=SUFFIX, dir=main.parent))
        staged = folder / "files"
        staged.mkdir()
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except OSError as error:
        raise OutputError(
            f"cannot write to {main.parent}: {error.strerror}", hint="choose another `out`"
        ) from error
    try:
        yield staged
    except OSError as error:
        raise OutputError(
            f"cannot write {main}: {error.strerror or error}",
            hint="free space or choose another folder",
        ) from error
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, main: Path) -> None:
    """Moves everything to its place, the main file last: where it is, the others are too.

    Interrupted, it removes again what it put where nothing had been.
    """
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb+") as stream:
            os.fsync(stream.fileno())
    staged = sorted(folder.iterdir(), key=lambda path: path.name == main.name)
    new = [p for p in (main.parent / path.name for path in staged) if not p.exists()]
    write_journal(folder.parent, new)
    try:
        for path in staged:
            place = main.parent / path.name
            if path.is_dir() and place.is_dir():
                place.rename(folder / f"{path.name}.replaced")
            path.replace(place)
    except BaseException:  # Ctrl-C too
        for place in new:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)
        raise
