"""Carries out a batch: on this machine, on a cluster, or watching a folder."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import IncompleteError, UsageError

if TYPE_CHECKING:
    from stargan_deploy.batch.plan import BatchJob, BatchPlan
    from stargan_deploy.batch.report import BatchReport
    from stargan_deploy.batch.run import BatchContext, Work
    from stargan_deploy.inference.choose import ChosenModel, EarlierRuntime, RuntimeRequest
    from stargan_deploy.inference.find import ModelFile

MAX_SHOWN_FAILURES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pages:
    """What to make to look at."""

    grid: bool = False
    gallery: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """What was typed."""

    job: "BatchJob"
    model: "ModelFile"
    runtime: "RuntimeRequest"
    resume: bool
    changed: Literal["refuse", "redo"]
    overwrite: bool
    disk_wait_s: float
    watch: bool
    ray: str | None
    pages: Pages
    json_output: bool

    def __post_init__(self) -> None:
        if len(self.job.options.strengths) > 1 and (self.pages.grid or self.pages.gallery):
            raise UsageError("--grid and --gallery go with one --strength; several make strips")
        if self.watch and (self.ray or self.pages.grid or self.pages.gallery):
            raise UsageError("--watch goes without --ray, --grid and --gallery")


def carry_out(request: BatchRequest) -> None:
    """Runs a batch and shows what came of it.

    Raises:
        IncompleteError: a photo failed.
    """
    from stargan_deploy.batch.manifest.reader import read_manifests
    from stargan_deploy.batch.plan import plan_batch
    from stargan_deploy.batch.resume import refuse_earlier_work

    if request.watch:
        _watch(request)
        return
    plan = plan_batch(request.job)
    if not (request.resume or request.overwrite):  # known before an engine is made and opened
        refuse_earlier_work(plan.photos, read_manifests(request.job.output), request.job.shard)
    spec = _settle(request, sum(len(photo.outputs) for photo in plan.photos))
    if request.runtime.dry_run:
        _show_plan(plan, request.model.path, request.json_output)
        return
    with _opened(request, spec) as (work, context):
        say(f"{_describe(plan)} with {request.model.path.name} ({_engine_words(context)})")
        report = _run(plan, work, context)
    _write_pages(plan, context, request.pages)
    _show(report, request.json_output)


def _settle(request: BatchRequest, num_images: int) -> "ChosenModel":
    from stargan_deploy.inference.choose import resolve_runtime

    wanted = request.runtime
    if request.resume or request.watch:
        wanted = dataclasses.replace(wanted, earlier=_earlier_runtime(request.job.output))
    return resolve_runtime(request.model, wanted, num_images=num_images)


def _earlier_runtime(output: Path) -> "EarlierRuntime | None":
    """What the last run that wrote to a folder used."""
    from stargan_deploy.batch.manifest.reader import read_manifests
    from stargan_deploy.inference.choose import EarlierRuntime

    runs = sorted(read_manifests(output).runs.values(), key=lambda run: run.rank)
    if not runs:
        return None
    settings = runs[-1].settings
    return EarlierRuntime(
        backend=str(settings.get("backend", "")),
        payload_sha256=str(settings.get("artefact_sha256", "")),
    )


@contextmanager
def _opened(request: BatchRequest, spec: "ChosenModel") -> Iterator[tuple["Work", "BatchContext"]]:
    """Whatever does the work, ready, and the context under which it does it."""
    from stargan_deploy.batch.disk import DiskWait
    from stargan_deploy.batch.resume import ResumePolicy
    from stargan_deploy.batch.run import BatchContext
    from stargan_deploy.batch.session import open_session

    wait = DiskWait(request.job.output, wait_s=request.disk_wait_s, say=say)
    policy = ResumePolicy(
        resume=request.resume or request.watch,
        changed=request.changed,
        overwrite=request.overwrite,
    )
    with open_session(spec, request.job, write=wait.write_bytes) as engine:
        context = BatchContext(
            settings=engine.settings,
            card=engine.translator.card,
            model=str(request.model.path),
            policy=policy,
            covers_folder=request.watch,
            wait=wait,
            say=say,
        )
        if request.ray is None:
            yield engine.pipeline.work, context
            return
    from stargan_deploy.batch.ray.cluster import ray_work

    with ray_work(
        request.ray,
        spec,
        request.job,
        disk_wait_s=request.disk_wait_s,
        settings=context.settings,
    ) as work:
        yield work, context


def _run(plan: "BatchPlan", work: "Work", context: "BatchContext") -> "BatchReport":
    from stargan_deploy.batch.run import run_batch

    with progress("photos") as on_progress:
        return run_batch(plan, work, dataclasses.replace(context, on_progress=on_progress))


def _watch(request: BatchRequest) -> None:
    """Translates what is in the folder and what comes into it, until a signal."""
    from stargan_deploy.batch.watch import watch

    spec = _settle(request, num_images=0)
    if request.runtime.dry_run:
        say(f"dry run: {request.job.input} was not watched")
        return
    with _opened(request, spec) as (work, context):
        say(f"watching {request.job.input} with {request.model.path.name}; Ctrl-C ends it")
        now = context
        for plan in watch(request.job):
            _show_words(_run(plan, work, now))
            now = dataclasses.replace(now, policy=dataclasses.replace(now.policy, changed="redo"))


def _write_pages(plan: "BatchPlan", context: "BatchContext", pages: Pages) -> None:
    from stargan_deploy.batch.output.contact_sheets import write_batch_gallery, write_contact_sheets
    from stargan_deploy.batch.session import make_framing

    if not (pages.grid or pages.gallery):
        return
    framing = make_framing(plan.job, context.card)
    if pages.grid:
        paths = write_contact_sheets(plan, framing)
        say(f"contact sheets: {paths[0]}" + (f" to {paths[-1].name}" if paths[1:] else ""))
    if pages.gallery:
        title = f"{plan.job.input.resolve().name}, translated"
        say(f"gallery: {write_batch_gallery(plan, framing, title=title)}")


def _describe(plan: "BatchPlan") -> str:
    wishes = "; ".join(named.target.text for named in plan.job.targets)
    return f"translating {_count(len(plan.photos), 'photo')} to {wishes}"


def _engine_words(context: "BatchContext") -> str:
    return f"{context.settings.backend} on {context.settings.device}"


def _show_plan(plan: "BatchPlan", model: Path, json_output: bool) -> None:
    from stargan_deploy.presentation.text import printable

    photos = [
        {"photo": printable(photo.path), "pictures": [printable(path) for path in photo.outputs]}
        for photo in plan.photos
    ]
    if json_output:
        show_json({"dry_run": True, "model": str(model), "photos": photos})
        return
    for photo in photos:
        for picture in photo["pictures"]:
            show(f"{photo['photo']} -> {picture}")
    say(f"dry run: {_describe(plan)} was not done")


def _show(report: "BatchReport", json_output: bool) -> None:
    """Prints the outcome.

    Raises:
        IncompleteError: a photo failed.
    """
    if json_output:
        show_json(report.to_mapping())
    else:
        _show_words(report)
    if report.num_failed:
        photos = _count(report.num_photos, "photo")
        raise IncompleteError(f"{report.num_failed} of {photos} failed; see {report.path}")


def _show_words(report: "BatchReport") -> None:
    for note in report.notes:
        say(f"note: {note}")
    for failure in report.failures[:MAX_SHOWN_FAILURES]:
        show(f"failed: {failure.reason}")
    if report.num_failed > MAX_SHOWN_FAILURES:
        show(f"... and {report.num_failed - MAX_SHOWN_FAILURES} more in {report.path}")
    if report.without_face:
        show(f"no face in {_count(len(report.without_face), 'photo')}; listed in {report.path}")
    before = f", {report.num_done_before} of them before" if report.num_done_before else ""
    show(
        f"translated {report.num_translated} of {_count(report.num_photos, 'photo')}{before}: "
        f"{_count(report.num_pictures, 'picture')} in {report.output}/, "
        f"{report.seconds:.1f} s, {report.images_per_s:.1f} images/s"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
