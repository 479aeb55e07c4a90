"""`stargan-deploy batch`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_deploy.cli.batch import options
from stargan_deploy.cli.batch.show import show_outcome, show_plan, show_report
from stargan_deploy.cli.console import say
from stargan_deploy.cli.options import (
    Device,
    DryRun,
    Json,
    Quiet,
    Weights,
    runtime_request,
    settings,
)
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import UsageError

if TYPE_CHECKING:
    from stargan_deploy.batch.run import BatchRequest
    from stargan_deploy.inference.find import ModelFile


def batch(
    photos: options.Photos = None,
    input_: options.Input = None,
    attrs: options.Attrs = None,
    direction: options.Direction = None,
    model: options.Model = None,
    output: options.Output = Path("translated"),
    backend: options.Backend = "auto",
    source: options.Source = "predict",
    batch_size: options.BatchSize = 16,
    device: Device = None,
    precision: options.Precision = None,
    weights: Weights = None,
    strength: options.Strength = "1",
    faces: options.Faces = None,
    without_face: options.WithoutFace = "skip",
    fit: options.FitOption = "crop",
    size: options.Size = None,
    range: options.Range = None,
    keep: options.Keep = "",
    name: options.Name = None,
    resume: options.Resume = False,
    changed: options.Changed = "refuse",
    overwrite: options.Overwrite = False,
    disk_wait: options.DiskWaitS = 600.0,
    watch: options.Watch = False,
    shard: options.ShardOption = None,
    ray: options.RayAddress = None,
    grid: options.Grid = False,
    gallery: options.Gallery = False,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Translate a photo or a folder of photos.

    JPEG, PNG and WebP files keep their format, others become PNG. A broken file is reported and
    does not stop the rest; the exit code is 0 only if all succeeded, else 10.
    """
    typed = locals()
    if not (photos or input_):
        raise UsageError("Missing option '--input': name photos (see: stargan-deploy batch --help)")
    from stargan_deploy.inference.find import find_model

    request = _request(find_model(model), typed)
    (_watch if watch else _run)(request, dry_run=dry_run, json_output=json_output)


def _request(model: "ModelFile", typed: Mapping[str, Any]) -> "BatchRequest":
    from stargan_deploy.batch.plan import ImageOptions, make_job
    from stargan_deploy.batch.resume import ResumePolicy
    from stargan_deploy.batch.run import BatchRequest, Pages

    keep = frozenset(word.strip() for word in typed["keep"].split(",") if word.strip())
    strengths = _strengths(typed["strength"])
    job = make_job(
        model.card,
        input=[*(typed["input_"] or []), *(typed["photos"] or [])],
        output=typed["output"],
        targets=typed["attrs"] or [],
        direction=typed["direction"],
        source=typed["source"],
        options=settings(
            ImageOptions,
            typed,
            strengths=strengths,
            range=_range(typed["range"]),
            keep=keep,
        ),
        naming=typed["name"],
        shard=typed["shard"],
    )
    return BatchRequest(
        job=job,
        model=model,
        runtime=runtime_request(typed),
        policy=settings(ResumePolicy, typed, resume=typed["resume"] or typed["watch"]),
        disk_wait_s=typed["disk_wait"],
        ray=typed["ray"],
        pages=settings(Pages, typed),
    )


def _run(request: "BatchRequest", *, dry_run: bool, json_output: bool) -> None:
    from stargan_deploy.batch.run import prepare_batch, run_batch

    if dry_run:
        show_plan(prepare_batch(request).plan, request.model.path, json_output=json_output)
        return
    with progress("photos") as on_progress:
        report = run_batch(request, on_progress=on_progress)
    show_report(report, json_output=json_output)


def _watch(request: "BatchRequest", *, dry_run: bool, json_output: bool) -> None:  # noqa: ARG001
    from stargan_deploy.batch.run import choose_for_watching, watch_batch

    if dry_run:
        choose_for_watching(request)
        say(f"dry run: {request.job.input} was not watched")
        return
    with progress("photos") as on_progress:
        for report in watch_batch(request, on_progress=on_progress):
            show_outcome(report)


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"`range` must be two numbers like 0,4095, not {text!r}") from None
    return low, high


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"`strengths` must be a number, or several like 0.5,1,1.5, not {text!r}"
        ) from None
