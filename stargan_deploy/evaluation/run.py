"""An evaluation from request to results: photos, models one after the other, statistics."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from stargan_deploy.backends.base import Runtime
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.kinds.base import Measured, Surroundings
from stargan_deploy.evaluation.kinds.sampling import measure_samples
from stargan_deploy.evaluation.kinds.translation import measure_translations
from stargan_deploy.evaluation.photos.photo_set import PhotoSet
from stargan_deploy.evaluation.photos.training_photos import refuse_training_photos
from stargan_deploy.evaluation.plan import (
    EvaluationRequest,
    legs_of,
    makes_samples,
    target_names,
)
from stargan_deploy.evaluation.report.gallery import Gallery
from stargan_deploy.evaluation.results import (
    CONFIDENCE,
    EvaluatedPhoto,
    JudgeFacts,
    ModelFigures,
    Results,
)
from stargan_deploy.evaluation.setting import (
    identities,
    num_samples,
    photos_for,
    progress_of,
    surroundings,
)
from stargan_deploy.evaluation.statistics import Bootstrap
from stargan_deploy.evaluation.summary import Summary, differences, raw_values, summarise
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.inference.choose import ChosenModel, resolve_runtime
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.progress import OnProgress
from stargan_deploy.version import __version__

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results, and the images that a report shows of them."""

    results: Results
    galleries: Mapping[str, Gallery]
    """The worst photos by model."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One model that went through all photos."""

    chosen: ChosenModel
    measured: Measured
    device: str
    """The one that it really ran on."""


def evaluate(
    request: EvaluationRequest, *, on_progress: OnProgress = lambda _done, _all: None
) -> Evaluation:
    """Measure models on the same photos and targets.

    What happens on the way is logged.

    Args:
        request: models, photos, judge.
        on_progress: called with the numbers of photos that are done and of all, over all models.

    Raises:
        UsageError, LabelError: models that have nothing in common, a target that one of them or
            the judge does not know, nothing that sees what was asked for.
        DataError: no photos, or photos of the training set.
        ModelError, BackendError, ExportError: a model or the judge cannot be run.
    """
    names = target_names(request)
    photos = photos_for(request, len(names))
    notes = list[str]()
    if not request.options.allow_training_photos:
        notes += refuse_training_photos(request.models, photos)
    about = identities(request, photos)
    tell = progress_of(len(about) * len(request.models), on_progress)
    titles = _titles(request)
    with surroundings(request, photos, notes, tell) as around:
        runs = {
            title: _run_model(model, request, around)
            for title, model in zip(titles, request.models, strict=True)
        }
        judge = _judge_facts(around.judge)
        notes += _judge_notes(judge, runs)
        notes += [f"{title}: {note}" for title, run in runs.items() for note in run.measured.notes]
    results = _results(request, photos, about, names, runs)
    galleries = {title: run.measured.gallery for title, run in runs.items()}
    results = replace(results, judge=judge, notes=tuple(notes))
    return Evaluation(results=results, galleries=galleries)


def _titles(request: EvaluationRequest) -> list[str]:
    """A name for each model: its file's, or as much of its path as tells them apart."""
    paths = [model.path for model in request.models]
    for num_parts in range(1, max(len(path.parts) for path in paths) + 1):
        titles = ["/".join(path.parts[-num_parts:]) for path in paths]
        if len(set(titles)) == len(titles):
            return titles
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


def _run_model(model: ModelFile, request: EvaluationRequest, around: Surroundings) -> _Run:
    """Choose a runtime for a model, and measure it."""
    if makes_samples(model.card):
        measure = _sampling(model, request, around)
        num_images = num_samples(request)
    else:
        legs = legs_of(model.card, request)
        _refuse_blindness(model, around)
        num_images = len(around.photos) * sum(len(leg.targets) for leg in legs)
        measure = partial(measure_translations, legs=legs, around=around)
    chosen = resolve_runtime(model, request.options.runtime(model), num_images=num_images)
    with chosen.open() as runtime:
        _log.info("evaluating %s (%s on %s)", model.path.name, runtime.backend, runtime.device)
        return _Run(chosen=chosen, measured=measure(runtime), device=str(runtime.device))


def _sampling(
    model: ModelFile, request: EvaluationRequest, around: Surroundings
) -> Callable[[Runtime], Measured]:
    """Measures images from noise.

    Raises:
        UsageError: there is nothing to measure them with.
    """
    if around.judge is None and not around.nets:
        raise UsageError(
            f"{model.path.name} makes images from noise, and nothing sees what is in them",
            hint="name a classifier of such images with `judge`, or `features` and `data`",
        )
    return partial(
        measure_samples,
        classes=model.card.labels.names,
        count=num_samples(request),
        seed=request.options.seed,
        around=around,
    )


def _refuse_blindness(model: ModelFile, around: Surroundings) -> None:
    has_labels = bool(model.card.labels.sets)
    if has_labels and around.judge is None and "classify" not in model.card.entry_points:
        raise UsageError(
            f"{model.path.name} has no classifier, so nothing sees whether a target was reached",
            hint="name an independent one with `judge`",
        )


def _results(
    request: EvaluationRequest,
    photos: PhotoSet,
    about: tuple[EvaluatedPhoto, ...],
    names: Sequence[str],
    runs: Mapping[str, _Run],
) -> Results:
    """The statistics of all models."""
    failures = {n: reason for run in runs.values() for n, reason in run.measured.failures.items()}
    if len(failures) == len(about):
        raise DataError(f"none of the photos could be evaluated: {next(iter(failures.values()))}")
    bootstrap = Bootstrap(len(about))
    summaries = {
        title: summarise(run.measured.values, names, bootstrap, run.measured.confusions)
        for title, run in runs.items()
    }
    means = {title: summary.means for title, summary in summaries.items()}
    first, *others = means
    return Results(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        data=photos.source.description,
        seed=request.options.seed,
        confidence=CONFIDENCE,
        targets=tuple(names),
        photos=about,
        failures=failures,
        models=tuple(_figures(title, runs[title], summaries[title]) for title in summaries),
        differences=tuple(
            found
            for other in others
            for found in differences(other, first, means[other], means[first], names)
        ),
    )


def _figures(title: str, run: _Run, summary: Summary) -> ModelFigures:
    chosen, measured = run.chosen, run.measured
    card = chosen.card
    point = card.main_entry_point
    return ModelFigures(
        **vars(summary.own),
        name=title,
        sha256=card.entry_point(point).payload_sha256,
        file_sha256=file_sha256(chosen.path),
        checkpoint_sha256=card.parents.get("checkpoint", ""),
        backend=chosen.backend,
        device=run.device,
        precision=chosen.precision,
        weights=chosen.weights or card.weights,
        step=card.step,
        entry_point=point,
        image_size=card.preprocessing.image_size,
        num_images=measured.num_images,
        seconds=measured.seconds,
        judge=summary.judge,
        measures=summary.measures,
        sets=measured.sets,
        values=raw_values(measured.values),
    )


def _judge_notes(judge: JudgeFacts | None, runs: Mapping[str, _Run]) -> Iterator[str]:
    for title, run in runs.items():
        classifier = run.chosen.card.entry_points.get("classify")
        if judge and classifier and classifier.payload_sha256 == judge.sha256:
            yield f"the judge is the classifier of {title} itself, which it was trained against"


def _judge_facts(judge: Judge | None) -> JudgeFacts | None:
    if judge is None:
        return None
    return JudgeFacts(
        name=judge.name,
        sha256=judge.card.entry_point("classify").payload_sha256,
        labels=judge.labels.names,
        held_out=judge.card.held_out,
    )
