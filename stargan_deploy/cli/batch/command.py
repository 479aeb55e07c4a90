"""`stargan-deploy batch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_deploy.cli.batch import options
from stargan_deploy.cli.batch.show import show_outcome, show_plan, show_report
from stargan_deploy.cli.console import say
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import UsageError

if TYPE_CHECKING:
    from stargan_deploy.batch.plan import ImageOptions
    from stargan_deploy.batch.run import BatchRequest
    from stargan_deploy.inference.choose import RuntimeRequest


def batch(
    input_: options.Input,
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
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Translate a photo or a folder of photos.

    JPEG, PNG and WebP files keep their format, others become PNG. A broken file is reported and
    does not stop the rest; the exit code is 0 only if all succeeded, else 10.
    """
    from stargan_deploy.batch.plan import make_job
    from stargan_deploy.batch.resume import ResumePolicy
    from stargan_deploy.batch.run import BatchRequest, Pages
    from stargan_deploy.inference.find import find_model

    found = find_model(model)
    images = _image_options(fit, size, faces, without_face, strength, keep)
    places: dict[str, Any] = {"input": input_, "output": output, "naming": name, "shard": shard}
    words: dict[str, Any] = {"targets": attrs or [], "direction": direction, "source": source}
    request = BatchRequest(
        job=make_job(found.card, **places, **words, options=images),
        model=found,
        runtime=_runtime_request(backend, device, precision, weights, batch_size, dry_run),
        policy=ResumePolicy(resume=resume or watch, changed=changed, overwrite=overwrite),
        disk_wait_s=disk_wait,
        ray=ray,
        pages=Pages(grid=grid, gallery=gallery),
    )
    (_watch if watch else _run)(request, dry_run=dry_run, json_output=json_output)


def _image_options(
    fit: options.FitOption,
    size: options.Size,
    faces: options.Faces,
    without_face: options.WithoutFace,
    strength: str,
    keep: str,
) -> "ImageOptions":
    from stargan_deploy.batch.plan import ImageOptions

    return ImageOptions(
        fit=fit,
        size=size,
        faces=faces,
        without_face=without_face,
        strengths=_strengths(strength),
        keep=frozenset(word.strip() for word in keep.split(",") if word.strip()),
    )


def _runtime_request(
    backend: str,
    device: Device,
    precision: options.Precision,
    weights: Weights,
    batch_size: int,
    dry_run: bool,
) -> "RuntimeRequest":
    from stargan_deploy.devices import parse_device
    from stargan_deploy.inference.choose import RuntimeRequest

    return RuntimeRequest(
        backend=backend,
        device=parse_device(device) if device else None,
        precision=precision,
        weights=weights,
        batch_size=batch_size,
        dry_run=dry_run,
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


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"`strengths` must be a number, or several like 0.5,1,1.5, not {text!r}"
        ) from None
