"""An evaluation from request to results: photos, models one after the other, statistics."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

from stargan_deploy.errors import BackendError, DataError, UsageError
from stargan_deploy.evaluation.gallery import Gallery
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.meters.closer import face_finder
from stargan_deploy.evaluation.photos.photo_set import PhotoSet, PhotosRequest, open_photos
from stargan_deploy.evaluation.photos.training_photos import refuse_training_photos
from stargan_deploy.evaluation.plan import (
    MAX_DRAWN_IMAGES,
    MAX_PHOTOS,
    MIN_DRAWN,
    EvaluationRequest,
    legs_of,
    target_names,
)
from stargan_deploy.evaluation.results import (
    CONFIDENCE,
    EvaluatedPhoto,
    JudgeFacts,
    ModelFigures,
    Results,
)
from stargan_deploy.evaluation.statistics import Bootstrap
from stargan_deploy.evaluation.summary import Summary, differences, raw_values, summarise
from stargan_deploy.evaluation.translation import (
    FaceFinder,
    Measured,
    Surroundings,
    measure_translations,
)
from stargan_deploy.faces.detection import FaceDetector
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.inference.choose import ChosenModel, resolve_runtime
from stargan_deploy.inference.find import ModelFile, find_model
from stargan_deploy.progress import OnProgress
from stargan_deploy.version import __version__

LAYOUT_NOUNS = {"paired": "halves of pairs", "unpaired": "between two domains"}
"""Photos that some models need, by the layout that holds them."""

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
    photos = _photos(request, len(names))
    notes = (
        []
        if request.options.allow_training_photos
        else refuse_training_photos(request.models, photos)
    )
    titles = _titles(request)
    with _surroundings(request, photos, notes, on_progress) as around:
        runs = {
            title: _run_model(model, request, around)
            for title, model in zip(titles, request.models, strict=True)
        }
        judge = _judge_facts(around.judge)
        notes += _judge_notes(judge, runs)
    results = _results(request, photos, names, runs)
    galleries = {title: run.measured.gallery for title, run in runs.items()}
    results = replace(results, judge=judge, notes=tuple(notes))
    return Evaluation(results=results, galleries=galleries)


def _photos(request: EvaluationRequest, num_targets: int) -> PhotoSet:
    """The photos that all models get."""
    cards = [model.card for model in request.models]
    judge_labels = (
        find_model(request.options.judge).card.labels.names if request.options.judge else ()
    )
    labels = (*(name for card in cards for name in card.labels.names), *judge_labels)
    legs = [leg for card in cards for leg in legs_of(card, request)]
    first = cards[0].preprocessing
    layout = "paired" if first.condition else None
    if any(leg.domains for leg in legs):
        layout = "unpaired"
    drawn = max(MIN_DRAWN, MAX_DRAWN_IMAGES // num_targets)
    default = MAX_PHOTOS if request.options.data or request.source else drawn
    wanted = PhotosRequest(
        root=request.options.data,
        source=request.source,
        layout=layout,
        labels=tuple(dict.fromkeys(labels)),
        condition=first.condition,
        range=first.value_range,
        count=request.options.count or default,
        size=max(card.preprocessing.image_size for card in cards),
        seed=request.options.seed,
    )
    if layout and not (request.options.data or request.source):
        raise UsageError(
            f"{request.models[0].path.name} translates {LAYOUT_NOUNS[layout]}, which cannot be "
            "drawn",
            hint="name a folder of them with `data`",
        )
    return open_photos(wanted)


def _titles(request: EvaluationRequest) -> list[str]:
    """A name for each model: its file's, or as much of its path as tells them apart."""
    paths = [model.path for model in request.models]
    for num_parts in range(1, max(len(path.parts) for path in paths) + 1):
        titles = ["/".join(path.parts[-num_parts:]) for path in paths]
        if len(set(titles)) == len(titles):
            return titles
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


@contextmanager
def _surroundings(
    request: EvaluationRequest, photos: PhotoSet, notes: list[str], on_progress: OnProgress
) -> Iterator[Surroundings]:
    """Photos, judge and face detector, and the count of what is done."""
    num_all = len(photos) * len(request.models)
    counted = count()

    def tell(number: int) -> None:
        for _ in range(number):
            done = next(counted)
        on_progress(done + 1, num_all)

    with ExitStack() as stack:
        judge = None
        if request.options.judge is not None:
            judge = stack.enter_context(Judge.open(request.options.judge, device=_device(request)))
        yield Surroundings(
            photos=photos, judge=judge, find_face=_face_finder(notes), on_photos=tell
        )


def _device(request: EvaluationRequest) -> str | None:
    return str(request.options.device) if request.options.device else None


def _face_finder(notes: list[str]) -> FaceFinder | None:
    try:
        return face_finder(FaceDetector.open(num_threads=1))
    except BackendError as error:
        notes.append(f"change outside the head was not measured: {error}")
        return None


def _run_model(model: ModelFile, request: EvaluationRequest, around: Surroundings) -> _Run:
    """Choose a runtime for a model, and measure it."""
    legs = legs_of(model.card, request)
    if model.card.labels.sets and around.judge is None:
        _refuse_blindness(model)
    num_images = len(around.photos) * sum(len(leg.targets) for leg in legs)
    chosen = resolve_runtime(model, request.options.runtime(model), num_images=num_images)
    with chosen.open() as runtime:
        _log.info("evaluating %s (%s on %s)", model.path.name, runtime.backend, runtime.device)
        measured = measure_translations(runtime, legs, around)
        return _Run(chosen=chosen, measured=measured, device=str(runtime.device))


def _refuse_blindness(model: ModelFile) -> None:
    if "classify" not in model.card.entry_points:
        raise UsageError(
            f"{model.path.name} has no classifier, so nothing sees whether a target was reached",
            hint="name an independent one with `judge`",
        )


def _results(
    request: EvaluationRequest, photos: PhotoSet, names: Sequence[str], runs: Mapping[str, _Run]
) -> Results:
    """The statistics of all models."""
    failures = {n: reason for run in runs.values() for n, reason in run.measured.failures.items()}
    if len(failures) == len(photos):
        raise DataError(f"none of the photos could be evaluated: {next(iter(failures.values()))}")
    bootstrap = Bootstrap(len(photos))
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
        photos=tuple(
            EvaluatedPhoto(name=name, sha256=digest)
            for name, digest in zip(photos.names, photos.digests, strict=True)
        ),
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
