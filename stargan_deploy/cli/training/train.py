"""`stargan-deploy train`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.console import say, set_quiet, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import OUT, Device, DryRun, Json, Quiet, names_of
from stargan_deploy.cli.training.recipes import list_recipes
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import UsageError

if TYPE_CHECKING:
    from stargan_deploy.distributed import Ranks
    from stargan_deploy.training.runs.recorder import Progress
    from stargan_deploy.training.session import Plan
    from stargan_deploy.training.start import TrainingStart
    from stargan_deploy.training.trainer import Trainer


RecipeName = Annotated[
    Path | None,
    typer.Argument(
        help="TOML recipe, or the name of one of --list.",
        show_default='the preset "demo": synthetic faces',
    ),
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")
]
Data = Annotated[
    list[Path] | None,
    typer.Option(help="Folder or CSV of the data set; several are trained on jointly."),
]


def train(
    recipe: RecipeName = None,
    data: Data = None,
    attrs: Annotated[
        list[str] | None, typer.Option(help="Attributes or domains to learn: A,B,...")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(*OUT, help="Folder of the run.", show_default="a new one in ./runs"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, or with the newest.")
    ] = False,
    init_from: Annotated[
        Path | None, typer.Option(help="Checkpoint whose weights to start from.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting of the recipe."),
    ] = None,
    skip_broken: SkipBroken = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the recipes that come with the package.")
    ] = False,
    device: Device = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Trains a model: images and labels in, checkpoints out."""
    if list_:
        list_recipes(json_output=json_output)
        return
    from stargan_deploy.training.start import TrainingRequest, plan_start, resolve_start

    request = TrainingRequest(
        recipe_path=recipe,
        changes=changes_of(attrs, skip_broken, device),
        assignments=set_ or [],
        roots=[str(root.resolve()) for root in data or []],
        out=out,
        resume=resume,
        init_from=init_from,
    )
    with training_ranks() as ranks:
        start = resolve_start(request, ranks)
        if dry_run:
            tell_plan(plan_start(start), json_output)
        else:
            run_training(start, ranks, json_output=json_output)


@contextmanager
def training_ranks() -> Iterator["Ranks"]:
    """The processes that torchrun started, of which only the first one prints."""
    from stargan_deploy.distributed import joined

    with joined() as ranks:
        if not ranks.is_writer:
            set_quiet(True)
        yield ranks


def run_training(start: "TrainingStart", ranks: "Ranks", *, json_output: bool) -> None:
    """Train to the end, and print what came of it."""
    from stargan_deploy.training.session import plan_of
    from stargan_deploy.training.start import open_training

    trainer = open_training(start, ranks=ranks, report=_report)
    if trainer.recipe.evaluate.every:
        from stargan_deploy.evaluation.examine import examine_as_asked

        examine_as_asked(trainer)
    if start.checkpoint is None:
        tell_plan(plan_of(trainer), json_output=False)
    say(f"device: {trainer.device}; reading and checking the images ...")
    _tell_result(trainer, trainer.train(), json_output)


def changes_of(attrs: list[str] | None, skip_broken: bool, device: str | None) -> dict[str, Any]:
    """The settings that flags stand for, but for the places of the data folders."""
    tables: dict[str, Any] = {"skip_broken": True} if skip_broken else {}
    if attrs:
        tables["attributes"] = names_of(attrs)
        if not tables["attributes"]:
            raise UsageError("`attributes` names no attribute", hint="leave it out for all of them")
    changes: dict[str, Any] = {"data": tables} if tables else {}
    return changes | ({"train": {"device": device}} if device else {})


def tell_plan(plan: "Plan", json_output: bool) -> None:
    """Print what a training is going to do."""
    recipe = plan.recipe
    if json_output:
        show_json(to_mapping(plan))
        return
    sizes = ", ".join(f"{role} {number:,}" for role, number in plan.num_parameters.items())
    names = f"; attributes: {', '.join(plan.attributes)}" if plan.attributes else ""
    size = f"{recipe.data.image_size}x{recipe.data.image_size}"
    say(f"{plan.num_images:,} images of {plan.training_data} at {size}{names}")
    for note in plan.notes:
        say(note)
    steps = "1 step" if plan.num_steps == 1 else f"{plan.num_steps:,} steps"
    num_images = recipe.train.batch_size
    say(f"parameters: {sizes}; {steps} of {num_images} image{'' if num_images == 1 else 's'}")


def _tell_result(trainer: "Trainer", path: Path, json_output: bool) -> None:
    if not trainer.ranks.is_writer:
        return
    if json_output:
        folder = str(trainer.run.folder)
        show_json({"run": folder, "checkpoint": str(path), "step": trainer.step})
        return
    show(f"trained to step {trainer.step}: {path}")
    say(f"report: {trainer.run.report_path}")
    say_next("export", path)


def _report(progress: "Progress") -> None:
    """Says how far the training is, in a line."""
    losses = "  ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
    eta = timedelta(seconds=round(progress.eta_s))
    say(
        f"step {progress.step}/{progress.num_steps}  {progress.steps_per_s:.2f} it/s  "
        f"{progress.images_per_s:.1f} images/s  ETA {eta}  {losses}"
    )
