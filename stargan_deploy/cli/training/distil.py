"""`stargan-deploy distil`."""

from pathlib import Path
from typing import Annotated

import typer

from stargan_deploy.cli.console import say
from stargan_deploy.cli.options import OUT, Device, DryRun, Json, Quiet
from stargan_deploy.cli.training.train import (
    Data,
    SkipBroken,
    changes_of,
    run_training,
    tell_plan,
    training_ranks,
)
from stargan_deploy.families.distillation.config import WIDTH

Width = Annotated[int, typer.Option(min=1, help="Channels of the student's first layer.")]


def distil(
    teacher: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint or run to learn from, or an official generator with its "
            "discriminator next to it."
        ),
    ],
    data: Data = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option(help="Labels of an official teacher, in their order: A,B,..."),
    ] = None,
    width: Width = WIDTH,
    blocks: Annotated[
        int | None,
        typer.Option(help="Residual blocks of the student.", show_default="the teacher's"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(*OUT, help="Folder of the run.", show_default="a new one in ./runs"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Any setting of the recipe: distil.start=..."
        ),
    ] = None,
    skip_broken: SkipBroken = False,
    device: Device = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Trains a small model to draw as a large one does.

    The student has the teacher's labels, and starts from the teacher's settings and the most
    important of its channels. `stargan-deploy train --resume` goes on with it.
    """
    from stargan_deploy.training.distillation.student import StudentRequest, student_recipe
    from stargan_deploy.training.start import plan_start, start_run

    request = StudentRequest(
        teacher=teacher,
        width=width,
        blocks=blocks,
        changes=changes_of(attrs, skip_broken, device),
        assignments=set_ or [],
        roots=[str(root.resolve()) for root in data or []],
    )
    with training_ranks() as ranks:
        start = start_run(student_recipe(request), out=out, ranks=ranks)
        if dry_run:
            tell_plan(plan_start(start), json_output)
            return
        say(f"teacher: {teacher}")
        run_training(start, ranks, json_output=json_output)
