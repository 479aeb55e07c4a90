"""Runs a batch from request to report: plan, model, photos, pages; here, on Ray, or watching."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from stargan_deploy.backends.base import Threads
from stargan_deploy.batch.disk import DiskWait
from stargan_deploy.batch.execute import BatchContext, Work, execute_plan
from stargan_deploy.batch.manifest.reader import Manifests, read_manifests
from stargan_deploy.batch.plan import BatchJob, BatchPlan, plan_batch
from stargan_deploy.batch.report import BatchReport
from stargan_deploy.batch.resume import ResumePolicy, refuse_earlier_work
from stargan_deploy.batch.session import BatchSession, make_framing, open_session
from stargan_deploy.batch.watch import watch
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.errors import UsageError
from stargan_deploy.inference.choose import (
    ChosenModel,
    EarlierRuntime,
    RuntimeRequest,
    resolve_runtime,
)
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.framing import side_of
from stargan_deploy.presentation.text import printable
from stargan_deploy.progress import OnProgress

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """Pages to make of a finished batch."""

    grid: bool = False
    """Whether to write contact sheets of all photos."""
    gallery: bool = False
    """Whether to write a page with before and after."""


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """Everything that is asked of a batch."""

    job: BatchJob
    model: ModelFile
    """A checkpoint or an artefact; a `ChosenModel` is opened as it is."""
    runtime: RuntimeRequest = field(default_factory=RuntimeRequest)
    """How to run the model; without a batch size it takes `ROWS_PER_CALL`."""
    policy: ResumePolicy = field(default_factory=ResumePolicy)
    """How to treat the work of earlier runs."""
    disk_wait_s: float = 0.0
    """How long a write is repeated while the disk is full, in seconds."""
    ray: str | None = None
    """A Ray cluster to work on: "local", "auto" or HOST:PORT."""
    pages: Pages = Pages()

    def __post_init__(self) -> None:
        if len(self.job.options.strengths) > 1 and (self.pages.grid or self.pages.gallery):
            raise UsageError("`grid` and `gallery` go with one strength; several make strips")


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """A batch that was found possible, and has not started."""

    plan: BatchPlan
    chosen: ChosenModel
    earlier: Manifests


def prepare_batch(request: BatchRequest) -> PreparedBatch:
    """Plan a batch and choose how to run its model; opens no model and writes no image.

    Raises:
        DataError: there are no photos.
        UsageError: the request makes no sense, or there is work of an earlier run that its policy
            does not cover.
        StarganDeployError: as `resolve_runtime`.
    """
    plan = plan_batch(request.job)
    earlier = read_manifests(request.job.output)
    if not (request.policy.resume or request.policy.overwrite):
        refuse_earlier_work(plan.photos, earlier, request.job.shard)
    chosen = _choose(request, earlier, num_images=sum(len(photo.outputs) for photo in plan.photos))
    return PreparedBatch(plan=plan, chosen=chosen, earlier=earlier)


def run_batch(
    request: BatchRequest,
    *,
    session: BatchSession | None = None,
    on_progress: OnProgress = lambda _done, _all: None,
) -> BatchReport:
    """Translate the photos of a request; writes images, manifest, report and pages.

    What happens on the way is logged.

    Args:
        request: the batch.
        session: opened for jobs like this one; None opens the request's model.
        on_progress: called with the numbers of finished photos and of all photos to translate.

    Raises:
        UsageError: another run is at work, or the work of earlier runs does not fit.
        DataError: there are no photos. A photo that fails is listed in the report.
        ModelError, BackendError, ExportError: the model cannot be run.
        OutputError: the output folder cannot be written, or the disk stayed full.
        StoppedError: a signal arrived; what was finished is recorded.
    """
    prepared = prepare_batch(request)
    with _opened(request, prepared.chosen, on_progress, session) as (work, context):
        settings, name = context.settings, request.model.path.name
        words = f"{prepared.plan.summary} with {name} ({settings.backend} on {settings.device})"
        _log.info("translating %s", words)
        report = execute_plan(prepared.plan, work, context, prepared.earlier)
    _write_pages(prepared.plan, context.card, request.pages)
    return report


def watch_batch(
    request: BatchRequest, *, on_progress: OnProgress = lambda _done, _all: None
) -> Iterator[BatchReport]:
    """Translate what is in the folder and what arrives in it, until a signal; resumes if need be.

    Yields:
        The report on the whole folder, after each group of photos; of its failures and photos
        without a face those of the group, since the others were told before.

    Raises:
        StarganDeployError: as `choose_for_watching` and `run_batch`.
    """
    request = replace(request, policy=replace(request.policy, resume=True))
    chosen = choose_for_watching(request)
    with _opened(request, chosen, on_progress) as (work, context):
        _log.info("watching %s with %s; Ctrl-C ends it", request.job.input, request.model.path.name)
        now = replace(context, covers_folder=True)
        for plan in watch(request.job):
            names = {printable(photo.name) for photo in plan.photos}
            report = execute_plan(plan, work, now)
            yield replace(
                report,
                failures=tuple(f for f in report.failures if f.path in names),
                without_face=tuple(name for name in report.without_face if name in names),
            )
            now = replace(now, policy=replace(now.policy, changed="redo"))


def choose_for_watching(request: BatchRequest) -> ChosenModel:
    """Choose how `watch_batch` runs the model; opens nothing.

    Raises:
        UsageError: the request asks for Ray or for pages.
        StarganDeployError: as `resolve_runtime`.
    """
    if request.ray or request.pages != Pages():
        raise UsageError("`watch` goes without `ray`, `grid` and `gallery`")
    return _choose(request, read_manifests(request.job.output), num_images=0, resumes=True)


def _choose(
    request: BatchRequest, earlier: Manifests, *, num_images: int, resumes: bool = False
) -> ChosenModel:
    if isinstance(request.model, ChosenModel):
        return request.model
    batch_size = request.runtime.batch_size
    wanted = replace(
        request.runtime,
        batch_size=ROWS_PER_CALL if batch_size is None else batch_size,
        size=side_of(request.job.options.size),
    )
    if request.policy.resume or resumes:
        wanted = replace(wanted, earlier=_earlier_runtime(earlier))
    chosen = resolve_runtime(request.model, wanted, num_images=num_images)
    return replace(chosen, threads=_threads(chosen.backend, wanted.earlier))


def _threads(backend: str, earlier: EarlierRuntime | None) -> Threads | None:
    """As many as the run that is being resumed had, also where these were free; else pinned."""
    if earlier is not None and earlier.backend == backend:
        return earlier.threads
    return "pinned"


def _earlier_runtime(earlier: Manifests) -> EarlierRuntime | None:
    """The runtime of the last run that wrote to the folder."""
    if not earlier.runs:
        return None
    settings = max(earlier.runs.values(), key=lambda run: run.rank).settings
    return EarlierRuntime(
        backend=str(settings.get("backend", "")),
        payload_sha256=str(settings.get("artefact_sha256", "")),
        threads=_number(settings.get("options"), "threads"),
    )


def _number(table: object, name: str) -> int | None:
    """A positive number in a table that a file may hold anything for."""
    value = table.get(name) if isinstance(table, dict) else None
    return value if type(value) is int and value > 0 else None


@contextmanager
def _opened(
    request: BatchRequest,
    chosen: ChosenModel,
    on_progress: OnProgress,
    session: BatchSession | None = None,
) -> Iterator[tuple[Work, BatchContext]]:
    """The open pipeline, and the context of the run."""
    wait = DiskWait(request.job.output, wait_s=request.disk_wait_s, say=_log.info)
    given = nullcontext(session) if session else None
    with given or open_session(chosen, request.job, write=wait.write_bytes) as opened:
        context = BatchContext(
            settings=opened.settings,
            card=opened.translator.card,
            model=str(request.model.path),
            policy=request.policy,
            wait=wait,
            on_progress=on_progress,
        )
        if request.ray is None:
            yield opened.pipeline.work, context
            return
        chosen = replace(chosen, threads=opened.translator.runtime.pinned_threads)
    from stargan_deploy.batch.ray.cluster import ray_work

    with ray_work(
        request.ray,
        chosen,
        request.job,
        disk_wait_s=request.disk_wait_s,
        settings=context.settings,
    ) as work:
        yield work, context


def _write_pages(plan: BatchPlan, card: ModelCard, pages: Pages) -> None:
    if pages == Pages():
        return
    from stargan_deploy.batch.output.contact_sheets import write_batch_gallery, write_contact_sheets

    framing = make_framing(plan.job, card)
    if pages.grid:
        paths = write_contact_sheets(plan, framing)
        more = f" to {paths[-1].name}" if paths[1:] else ""
        _log.info("contact sheets: %s%s", paths[0], more)
    if pages.gallery:
        title = f"{plan.job.input.resolve().name}, translated"
        _log.info("gallery: %s", write_batch_gallery(plan, framing, title=title))
