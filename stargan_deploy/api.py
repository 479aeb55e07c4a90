"""The Python API beside `load`: train, distil, export, verify and evaluate models.

`stargan_deploy` exports these names and imports this module on first use; `docs/python.md` shows
them at work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stargan_deploy.backends.registry import format_spec, read_card_of
from stargan_deploy.benchmarking.results import Results, load_results
from stargan_deploy.card.card import Precision, Verdict
from stargan_deploy.config import merge, read_toml, to_mapping
from stargan_deploy.data.source import ImageSource
from stargan_deploy.evaluation.examine import examine_as_asked
from stargan_deploy.evaluation.plan import EvaluationOptions, EvaluationRequest
from stargan_deploy.evaluation.report.files import write_evaluation
from stargan_deploy.evaluation.results import ModelFigures
from stargan_deploy.evaluation.results import Results as EvaluationResults
from stargan_deploy.evaluation.run import Evaluation, evaluate
from stargan_deploy.export.destination import destination
from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.proof.verify import verify
from stargan_deploy.families.distillation.config import WIDTH
from stargan_deploy.families.registry import presets
from stargan_deploy.inference.find import find_model, find_model_path, find_source
from stargan_deploy.training.distillation.student import StudentRequest, student_recipe
from stargan_deploy.training.recipe import (
    Recipe,
    change_tables,
    find_recipe,
    resolve_recipe,
)
from stargan_deploy.training.runs.recorder import Progress
from stargan_deploy.training.start import open_training, start_run
from stargan_deploy.training.trainer import Trainer

AnyPath = str | Path

OWN_DATA = "(data given in Python)"
"""The data folder named in a recipe whose images came from memory."""


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A finished training."""

    folder: Path
    """The run's folder: report, metrics, samples and checkpoints; `load` takes it."""
    checkpoint: Path
    """The last checkpoint, from which the training can be resumed."""
    model: Path
    """The finished model: weights and card alone."""
    num_steps: int
    """Length of the training in steps."""


def train_model(
    recipe: Recipe | Mapping[str, Any] | AnyPath = "demo",
    data: AnyPath | Sequence[AnyPath] | ImageSource | None = None,
    *,
    held_out: ImageSource | None = None,
    settings: Mapping[str, Any] | None = None,
    out: AnyPath | None = None,
    init_from: AnyPath | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> TrainedRun:
    """Train a model.

    Args:
        recipe: the name of a preset or of a recipe of the package, a TOML file, tables of settings,
            or a resolved recipe.
        data: a folder of images and labels, several to train on jointly, or images of any origin;
            None takes what the recipe names.
        held_out: images for samples and evaluation, where `data` is a source; None takes `data`.
        settings: tables of settings that change the recipe: `{"train": {"steps": 1000}}`.
        out: folder of the run, which must not hold one; None takes a new one in ./runs.
        init_from: checkpoint whose weights to start from.
        on_progress: called with losses and speed after each line of metrics.

    Raises:
        ConfigError: a recipe or setting that does not fit.
        DataError: images that cannot be used.
        TrainingError: the training cannot start or diverged.
    """
    source = data if isinstance(data, ImageSource) else None
    resolved = _resolve(recipe, settings or {}, _roots(data), has_source=source is not None)
    start = start_run(
        resolved,
        out=Path(out) if out is not None else None,
        init_from=Path(init_from) if init_from is not None else None,
    )
    trainer = open_training(
        start, train_source=source, sample_source=held_out or source, report=on_progress
    )
    return _trained(trainer)


def distil_model(
    teacher: AnyPath,
    data: AnyPath | Sequence[AnyPath] | None = None,
    *,
    width: int = WIDTH,
    blocks: int | None = None,
    settings: Mapping[str, Any] | None = None,
    out: AnyPath | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> TrainedRun:
    """Train a small model to draw as a large one does.

    Args:
        teacher: a checkpoint, a run's folder, or an official generator with its discriminator next
            to it.
        data: folders of the teacher's data; None takes what the teacher was trained on.
        width: channels of the student's first layer.
        blocks: residual blocks of the student; None takes the teacher's number.
        settings: tables of settings that change the recipe: `{"distil": {"start": "scratch"}}`.
        out: folder of the run, which must not hold one; None takes a new one in ./runs.
        on_progress: called with losses and speed after each line of metrics.

    Raises:
        UsageError: a student that is larger than its teacher, or a family without students.
        ModelError: a teacher that cannot be used.
        DataError: images that cannot be used, or with other labels than the teacher's.
        TrainingError: the training cannot start or diverged.
    """
    request = StudentRequest(
        teacher=Path(teacher),
        width=width,
        blocks=blocks,
        changes=settings or {},
        roots=_roots(data),
    )
    start = start_run(student_recipe(request), out=Path(out) if out is not None else None)
    return _trained(open_training(start, report=on_progress))


def _trained(trainer: Trainer) -> TrainedRun:
    """Train to the end."""
    examine_as_asked(trainer)
    checkpoint = trainer.train()
    return TrainedRun(
        folder=trainer.run.folder,
        checkpoint=checkpoint,
        model=trainer.run.model_path,
        num_steps=trainer.num_steps,
    )


def export_model(
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    *,
    format: str = "onnx",
    precision: Precision | None = None,
    options: ExportOptions | None = None,
) -> ExportResult:
    """Export a checkpoint, and prove the result equal to PyTorch before it appears.

    Args:
        model: a checkpoint or a run's folder; None takes the newest run, else the demo model.
        out: file to write, or a folder if it is one or ends in "/"; None takes ./exports.
        format: "onnx", "openvino", "pt2", "trt" or "triton".
        precision: compute precision of the convolutions; None takes the format's default.
        options: everything else, for example the proof's device and images; its `format` and
            `precision` are replaced by those above.

    Returns:
        The files, with their card and verdicts.

    Raises:
        UsageError: a combination that does not exist, or options that do not go together.
        ExportError: the model cannot be expressed in the format, or (`ParityError`) does not equal
            PyTorch; then nothing is written.
        BackendError: a library that the format needs is missing.
    """
    checkpoint = find_model_path(Path(model) if model is not None else None)
    path = destination(checkpoint, format_spec(format), precision, out)
    options = replace(options or ExportOptions(), format=format, precision=precision)
    return export(checkpoint, out=path, options=options)


def verify_model(
    artefact: AnyPath,
    checkpoint: AnyPath | None = None,
    *,
    device: str | None = None,
    images: AnyPath | None = None,
) -> tuple[Verdict, ...]:
    """Compare an artefact with PyTorch on this machine, and add the verdicts to its card.

    Args:
        artefact: an exported file.
        checkpoint: what it was exported from; None looks for it beside the file, in the current
            folder, in ./runs and in the package.
        device: where to run both; None takes the best usable one.
        images: folder of photos to compare on; None takes synthetic faces.

    Returns:
        A verdict per entry point; `passed` says whether it equals PyTorch.

    Raises:
        ModelError: not an artefact, or its checkpoint was not found.
        BackendError: it cannot run here.
    """
    path = Path(artefact)
    given = Path(checkpoint) if checkpoint is not None else None
    found = find_source(path, read_card_of(path), given)
    photos = Path(images) if images is not None else None
    comparisons = verify(path, checkpoint=found, device=device, images=photos).comparisons
    return tuple(comparison.verdict for comparison in comparisons)


def evaluate_models(
    models: AnyPath | Sequence[AnyPath] | None = None,
    data: AnyPath | ImageSource | None = None,
    *,
    targets: str | Sequence[str] = (),
    judge: AnyPath | None = None,
    features: Sequence[str] = (),
    identity: str | None = None,
    count: int | None = None,
    seed: int = 0,
    backend: str | None = None,
    direction: str | None = None,
    allow_training_photos: bool = False,
    bench: AnyPath | None = None,
    out: AnyPath | None = None,
) -> EvaluationResults:
    """Measure models on the same photos and targets, with intervals; compare with the first.

    Args:
        models: checkpoints, runs and artefacts; None takes the newest run, else the demo model.
        data: a data set's folder, whose held-out photos are taken, or images of any origin; None
            draws faces.
        targets: targets in words; none for each label that all models have.
        judge: an independent classifier: any model with the entry point `classify`.
        features: features to compare made with real images on: "efficientnet-lite0",
            "inception:FILE", an ONNX file.
        identity: descriptor of faces: "face-api", an ONNX file.
        count: largest number of photos, or number of images from noise.
        seed: decides which photos are taken of more, and images from noise.
        backend: what runs the models, "auto" for the fastest that is proven here; None runs a
            checkpoint with PyTorch, and an artefact with its own backend.
        direction: entry point of models with several; None takes all.
        allow_training_photos: whether photos may be among those that a model was trained on.
        bench: results of a benchmark, whose milliseconds join the figures.
        out: folder for results.json, results.csv and report.html; None writes nothing.

    Returns:
        The contents of `results.json`.

    Raises:
        UsageError, LabelError: models with nothing in common, or a label that is not known to all.
        DataError: no photos, or photos that a model was trained on.
        ModelError, BackendError: a model cannot be run.
    """
    options = EvaluationOptions(
        data=None if isinstance(data, ImageSource) else _path(data),
        judge=_path(judge),
        features=tuple(features),
        identity=identity,
        count=count,
        seed=seed,
        direction=direction,
        allow_training_photos=allow_training_photos,
        backend=backend,
    )
    request = _evaluation_request(models, targets, options, data)
    evaluation = with_speeds(evaluate(request), _path(bench))
    if out is not None:
        write_evaluation(evaluation, Path(out))
    return evaluation.results


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)


def _evaluation_request(
    models: AnyPath | Sequence[AnyPath] | None,
    targets: str | Sequence[str],
    options: EvaluationOptions,
    data: AnyPath | ImageSource | None,
) -> EvaluationRequest:
    named: Sequence[AnyPath | None]
    named = [models] if isinstance(models, str | Path) else models or [None]
    return EvaluationRequest(
        models=tuple(find_model(_path(path)) for path in named),
        targets=(targets,) if isinstance(targets, str) else tuple(targets),
        options=options,
        source=data if isinstance(data, ImageSource) else None,
    )


def with_speeds(evaluation: Evaluation, bench: Path | None) -> Evaluation:
    """An evaluation with the milliseconds that a benchmark measured of the same models.

    Args:
        evaluation: its results name backends and precisions.
        bench: results.json of `bench`, or its folder; None adds nothing.

    Raises:
        DataError: not the results of a benchmark.
    """
    if bench is None:
        return evaluation
    speeds = load_results(bench)
    models = tuple(replace(m, ms_per_image=_ms(speeds, m)) for m in evaluation.results.models)
    missing = ", ".join(model.name for model in models if model.ms_per_image is None)
    notes = (f"{bench} holds no time of {missing}",) if missing else ()
    results = replace(evaluation.results, models=models, notes=(*evaluation.results.notes, *notes))
    return replace(evaluation, results=results)


def _ms(speeds: Results, model: ModelFigures) -> float | None:
    """Time per image of a model's backend and precision, at the largest batch; None if unknown."""
    if speeds.model_sha256 not in (model.file_sha256, model.checkpoint_sha256):
        return None
    rows = [
        row
        for row in speeds.rows
        if (row.backend, row.asked_precision) == (model.backend, model.precision)
        and row.entry_point == model.entry_point
        and row.width == model.image_size
    ]
    largest = max(rows, key=lambda row: row.batch_size, default=None)
    timing = largest.timing("host to host") if largest else None
    return timing.statistics.p50_ms / largest.batch_size if largest and timing else None


def _roots(data: AnyPath | Sequence[AnyPath] | ImageSource | None) -> list[str]:
    """The folders that were given, as absolute paths."""
    if data is None or isinstance(data, ImageSource):
        return []
    folders = [data] if isinstance(data, str | Path) else data
    return [str(Path(folder).resolve()) for folder in folders]


def _resolve(
    recipe: Recipe | Mapping[str, Any] | AnyPath,
    settings: Mapping[str, Any],
    roots: list[str],
    *,
    has_source: bool,
) -> Recipe:
    tables = _tables(recipe)
    if has_source:
        tables = merge(tables, {"data": {"kind": "auto", "attributes": [], "root": OWN_DATA}})
    return resolve_recipe(change_tables(tables, settings, (), roots=roots))


def _tables(recipe: Recipe | Mapping[str, Any] | AnyPath) -> dict[str, Any]:
    if isinstance(recipe, Recipe):
        return to_mapping(recipe)
    if isinstance(recipe, Mapping):
        return dict(recipe)
    if str(recipe) in presets():
        return {"preset": str(recipe)}
    path = find_recipe(Path(recipe))
    return {"name": path.stem, **read_toml(path)}
