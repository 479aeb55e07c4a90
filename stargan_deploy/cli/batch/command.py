"""`stargan-deploy batch`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.batch.plan import ImageOptions, make_job
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.run import (
    BatchRequest,
    Pages,
    choose_for_watching,
    prepare_batch,
    run_batch,
    watch_batch,
)
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.cli.batch.show import show_outcome, show_plan, show_report
from stargan_deploy.cli.console import say
from stargan_deploy.cli.options import (
    BACKENDS,
    OUTPUT,
    BatchSize,
    DryRun,
    Fields,
    Json,
    Model,
    Quiet,
)
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import UsageError
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.inference.find import find_model
from stargan_deploy.inference.styles.source import StyleRequest

SAFETY, SCALE = "Interrupted and repeated runs", "Many machines"
STYLES = "Styles, of models that have them"

Photos = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PHOTO...", help="More photos or folders, as a pattern gives them."),
]
Input = Annotated[
    list[Path] | None,
    typer.Option(
        *("--input", "-i"),
        metavar="DIR_OR_FILE",
        help="Photos: a folder with its subfolders, or a file; may be given several times.",
    ),
]
Attrs = Annotated[
    list[str] | None,
    typer.Option(
        *("--attrs", "--domain"),
        metavar="TARGET",
        help="Blond_Hair; Blond_Hair,Young; -Male; flip:Smiling; female. If given several times, "
        "photos are translated to each target, in separate folders.",
        show_default=False,
    ),
]
References = Annotated[
    list[Path] | None,
    typer.Option(
        "--reference",
        metavar="FILE_OR_DIR",
        help="Image whose style is taken, or a folder of them; may be given several times. Each "
        "has a folder of results.",
        show_default="a random style",
        rich_help_panel=STYLES,
    ),
]
Direction = Annotated[
    str | None,
    typer.Option(
        metavar="a2b|b2a",
        help="Which direction to translate, for models that have two.",
        show_default="the only one",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        *OUTPUT,
        help="Folder for the translated images, mirroring the input folder structure, and for "
        "report.json and manifest.jsonl.",
    ),
]
Source = Annotated[
    str,
    typer.Option(
        metavar="predict|zeros|FILE",
        help="The photos' own labels: from the model's classifier, all absent, or from a CSV "
        "file (file,Attr1,Attr2,...) or a CelebA attribute list.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Names of the images below --output, for example "
        "{folder}/{stem}-{target}{suffix}; {name} is the photo's file name. A suffix like .png "
        "sets the format.",
        show_default="the photo's, in one folder per target if there are several",
        rich_help_panel="Images",
    ),
]
DiskWait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="How long to wait for free space when the disk is full.",
        rich_help_panel=SAFETY,
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Keep watching the folder for new photos, until Ctrl-C.",
        rich_help_panel=SCALE,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Process only the I-th of N parts, for independent machines.",
        show_default="all",
        rich_help_panel=SCALE,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local",
        help="Run on a Ray cluster whose machines see the same files; needs the extra \\[ray].",
        show_default="off",
        rich_help_panel=SCALE,
    ),
]


def batch(
    photos: Photos = None,
    input: Input = None,
    attrs: Attrs = None,
    direction: Direction = None,
    model: Model = None,
    output: Output = Path("translated"),
    source: Source = "predict",
    *,
    reference: References = None,
    style: Annotated[StyleRequest, Fields(panel=STYLES, without=("references",))],
    images: Annotated[ImageOptions, Fields(panel="Images", without=("entry_point",))],
    name: Name = None,
    runtime: Annotated[RuntimeRequest, Fields(without=("earlier", "size"), notes=BACKENDS)],
    batch_size: BatchSize = ROWS_PER_CALL,  # noqa: ARG001 - a field of the runtime's
    policy: Annotated[ResumePolicy, Fields(panel=SAFETY)],
    disk_wait: DiskWait = 600.0,
    watch: Watch = False,
    shard: Shard = None,
    ray: RayAddress = None,
    pages: Annotated[Pages, Fields(panel="Pages")],
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Translate a photo or a folder of photos.

    JPEG, PNG and WebP files keep their format, others become PNG. A broken file is reported and
    does not stop the rest; the exit code is 0 only if all succeeded, else 10.
    """
    if not (photos or input):
        raise UsageError("Missing option '--input': name photos (see: stargan-deploy batch --help)")
    found = find_model(model)
    job = make_job(
        found.card,
        input=[*(input or []), *(photos or [])],
        output=output,
        targets=attrs or [],
        direction=direction,
        source=source,
        options=images,
        naming=name,
        shard=shard,
        style=replace(style, references=tuple(reference or ())),
    )
    request = BatchRequest(
        job=job,
        model=found,
        runtime=runtime,
        policy=replace(policy, resume=policy.resume or watch),
        disk_wait_s=disk_wait,
        ray=ray,
        pages=pages,
    )
    if watch:
        _watch(request, dry_run=dry_run)
    else:
        _run(request, dry_run=dry_run, json_output=json_output)


def _run(request: BatchRequest, *, dry_run: bool, json_output: bool) -> None:
    if dry_run:
        show_plan(prepare_batch(request).plan, request.model.path, json_output=json_output)
        return
    with progress("photos") as on_progress:
        report = run_batch(request, on_progress=on_progress)
    show_report(report, json_output=json_output)
    if request.pages == Pages() and len(request.job.options.strengths) == 1:
        say("next: the same command with --resume --gallery makes a page of before and after")


def _watch(request: BatchRequest, *, dry_run: bool) -> None:
    if dry_run:
        choose_for_watching(request)
        say(f"dry run: {request.job.input} was not watched")
        return
    with progress("photos") as on_progress:
        for report in watch_batch(request, on_progress=on_progress):
            show_outcome(report)
