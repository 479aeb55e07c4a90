"""`stargan-deploy batch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from stargan_deploy.cli.backend import Wish, settle_backend
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.find import find_model
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet, Weights
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import IncompleteError

if TYPE_CHECKING:
    from stargan_deploy.labels import LabelSpace
    from stargan_deploy.translation.plan import BatchPlan
    from stargan_deploy.translation.report import BatchReport
    from stargan_deploy.translation.sources import LabelTable
    from stargan_deploy.translation.targets import NamedTarget

MAX_SHOWN_FAILURES = 20


Input = Annotated[
    Path,
    typer.Option(
        "--input",
        "-i",
        metavar="DIR_OR_FILE",
        help="Photos: a folder with its subfolders, or one file.",
    ),
]
Attrs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TARGET",
        help="Blond_Hair; Blond_Hair,Young; -Male; flip:Smiling. Given several times, every photo "
        "is translated to each, in a folder of its own.",
        show_default=False,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint, a run's folder, or an exported model.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the pictures, which keep the tree of the photos, and report.json.",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto (the fastest that is proven here), eager, compile, onnx, openvino, pt2 or trt; "
        "a checkpoint is exported for the last four first, and kept in the cache."
    ),
]
Precision = Annotated[
    Literal["fp32", "fp16", "bf16", "int8"] | None,
    typer.Option(
        help="Of a checkpoint, what its convolutions compute in.",
        show_default="the backend's default",
    ),
]
Source = Annotated[
    str,
    typer.Option(
        metavar="predict|zeros|FILE",
        help="The photos' own labels: from the model's classifier, all absent, or from a CSV file "
        "(file,Attr1,Attr2,...) or a CelebA attribute list.",
    ),
]


def batch(
    input_: Input,
    attrs: Attrs = None,
    model: Model = None,
    output: Output = Path("translated"),
    backend: Backend = "auto",
    source: Source = "predict",
    batch_size: Annotated[int, typer.Option(help="Photos a call of the engine.")] = 16,
    device: Device = None,
    precision: Precision = None,
    weights: Weights = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Translates a photo or a folder of photos.

    JPEG, PNG and WebP files keep their format, others become PNG. A broken file is reported and
    does not stop the rest; the exit code is 0 only if all succeeded, else 10.
    """
    from stargan_deploy.runtimes.choose import open_runtime
    from stargan_deploy.translation.batch import run_batch
    from stargan_deploy.translation.translator import Translator

    chosen = find_model(model)
    plan = _plan(chosen, input_, output, attrs or [], source)
    wish = Wish(
        backend=backend, device=device, weights=weights, precision=precision, dry_run=dry_run
    )
    num_pictures = sum(len(photo.outputs) for photo in plan.photos)
    path, backend = settle_backend(chosen, wish, num_pictures)
    runtime = open_runtime(
        path,
        backend=backend,
        device=device,
        batch_size=batch_size,
        weights=weights,
        precision=precision if path == chosen else None,
    )
    if dry_run:
        _show_plan(plan, chosen, json_output)
        return
    with runtime:
        say(f"{_describe(plan)} with {chosen.name} ({runtime.backend} on {runtime.device})")
        translator = Translator(runtime.card, runtime)
        with progress("photos") as on_progress:
            report = run_batch(plan, translator, model=str(chosen), on_progress=on_progress)
    _show(report, json_output)


def _plan(model: Path, source: Path, output: Path, words: list[str], origin: str) -> "BatchPlan":
    from stargan_deploy.runtimes.choose import read_card_of
    from stargan_deploy.translation.plan import BatchJob, plan_batch
    from stargan_deploy.translation.targets import name_targets

    space = read_card_of(model).labels
    targets = name_targets(space, words)
    return plan_batch(
        BatchJob(
            input=source,
            output=output,
            targets=targets,
            source=_read_source(origin, space, targets),
        )
    )


def _read_source(
    source: str, space: "LabelSpace", targets: "tuple[NamedTarget, ...]"
) -> "Literal['predict', 'zeros'] | LabelTable":
    from stargan_deploy.translation.sources import needed_names, read_label_table

    if source in ("predict", "zeros"):
        return cast(Literal["predict", "zeros"], source)
    needed = needed_names(space, [named.target for named in targets])
    return read_label_table(Path(source), space, needed=needed)


def _describe(plan: "BatchPlan") -> str:
    wishes = "; ".join(named.target.text for named in plan.job.targets)
    return f"translating {_count(len(plan.photos), 'photo')} to {wishes}"


def _show_plan(plan: "BatchPlan", model: Path, json_output: bool) -> None:
    from stargan_deploy.translation.listing import printable

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
    from stargan_deploy.translation.report import REPORT_NAME

    if json_output:
        show_json(report.to_mapping())
    else:
        _show_words(report)
    if report.num_failed:
        photos = _count(report.num_photos, "photo")
        raise IncompleteError(
            f"{report.num_failed} of {photos} failed; see {report.output}/{REPORT_NAME}"
        )


def _show_words(report: "BatchReport") -> None:
    from stargan_deploy.translation.report import REPORT_NAME

    for note in report.notes:
        say(f"note: {note}")
    for failure in report.failures[:MAX_SHOWN_FAILURES]:
        show(f"failed: {failure.reason}")
    if report.num_failed > MAX_SHOWN_FAILURES:
        show(f"... and {report.num_failed - MAX_SHOWN_FAILURES} more in {REPORT_NAME}")
    show(
        f"translated {report.num_translated} of {_count(report.num_photos, 'photo')}: "
        f"{_count(report.num_pictures, 'picture')} of {report.image_size}x{report.image_size} in "
        f"{report.output}/, {report.seconds:.1f} s, {report.images_per_s:.1f} images/s"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
