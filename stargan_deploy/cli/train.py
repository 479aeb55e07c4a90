"""`stargan-deploy train`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.console import say, set_quiet, show, show_json
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet

if TYPE_CHECKING:
    from stargan_deploy.distributed import Ranks
    from stargan_deploy.training.recipe import Recipe
    from stargan_deploy.training.runs.recorder import Progress
    from stargan_deploy.training.runs.run import Run
    from stargan_deploy.training.session import Plan
    from stargan_deploy.training.trainer import Trainer


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="TOML recipe.", show_default='the preset "demo": synthetic faces'),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder or CSV of the data set; several are trained on jointly."),
    ] = None,
    attrs: Annotated[
        str | None, typer.Option(help="Attributes or domains to learn: A,B,...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="a new one in ./runs")
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
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")
    ] = False,
    device: Device = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Trains a model: images and labels in, checkpoints out."""
    from stargan_deploy.errors import UsageError

    if resume and init_from:
        raise UsageError("--resume goes on with a run and --init-from starts one: give one of them")
    from stargan_deploy.distributed import joined
    from stargan_deploy.training.session import Plan

    with joined() as ranks:
        if not ranks.is_writer:
            set_quiet(True)
        request = _Request(
            recipe_path=recipe,
            changes=_changes(attrs, skip_broken, device),
            assignments=set_ or [],
            roots=[str(root.resolve()) for root in data or []],
            out=out,
            init_from=init_from,
            dry_run=dry_run,
            ranks=ranks,
        )
        prepared = _prepare_resumed(request) if resume else _prepare(request)
        if isinstance(prepared, Plan):
            _tell(prepared, json_output)
        else:
            say(f"device: {prepared.device}; reading and checking the images ...")
            _tell_result(prepared, prepared.train(), json_output)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What the user typed, and the processes that train together."""

    recipe_path: Path | None
    changes: dict[str, Any]
    assignments: list[str]
    roots: list[str]
    out: Path | None
    init_from: Path | None
    dry_run: bool
    ranks: "Ranks"


def _prepare(request: _Request) -> "Trainer | Plan":
    """Everything up to the first step; on a dry run the plan alone."""
    from stargan_deploy.training.recipe import read_recipe
    from stargan_deploy.training.runs.run import new_run_folder

    recipe = read_recipe(
        request.recipe_path, request.changes, request.assignments, roots=request.roots
    )
    if request.recipe_path is None:
        say('recipe: the preset "demo" (give a recipe or --set to change it)')
    return _prepare_in(request.out or new_run_folder(recipe.name), recipe, request)


def _prepare_in(wanted: Path, recipe: "Recipe", request: _Request) -> "Trainer | Plan":
    """The same, of a recipe in a folder of which rank 0 decides."""
    from stargan_deploy.files.atomic import check_folder
    from stargan_deploy.training.runs.run import Run, check_new_folder
    from stargan_deploy.training.session import plan_of, plan_training

    folder = Path(request.ranks.broadcast(str(wanted)))
    check_new_folder(folder, recipe)
    say(f"run: {folder}")
    if request.dry_run:
        check_folder(folder)
        return plan_training(recipe)
    trainer = _new_trainer(recipe, Run(folder), request)
    _tell(plan_of(trainer), json_output=False)
    return trainer


def _new_trainer(recipe: "Recipe", run: "Run", request: _Request) -> "Trainer":
    """A trainer whose run folder is there, so that one that cannot be made is refused at once."""
    from stargan_deploy.training.session import create_trainer

    if request.ranks.is_writer:
        run.make()
    with run.removed_on_failure():
        return create_trainer(
            recipe,
            run,
            init_from=request.init_from,
            ranks=request.ranks,
            report=_report,
        )


def _prepare_resumed(request: _Request) -> "Trainer | Plan":
    """A trainer at the newest whole checkpoint; a new one where there is none yet."""
    from stargan_deploy.training.runs.run import Run, run_folders
    from stargan_deploy.training.session import plan_training, resume_trainer

    folder = request.out or next(iter(run_folders()), None)
    newest = Run(folder).newest_checkpoint() if folder else None
    found = request.ranks.broadcast(str(newest or ""))
    if folder is None or not found:
        return _prepare_begun(folder, request)
    checkpoint = Path(found)
    say(f"resuming {checkpoint}")
    recipe = _resumed_recipe(checkpoint, request)
    if request.dry_run:
        return plan_training(recipe)
    run = Run(checkpoint.parent.parent)
    return resume_trainer(checkpoint, run, recipe=recipe, ranks=request.ranks, report=_report)


def _prepare_begun(folder: Path | None, request: _Request) -> "Trainer | Plan":
    """A new trainer for a run without a checkpoint: with its own recipe, or else with a given one.

    Raises:
        TrainingError: there is neither, or weights are missing that the run started from.
    """
    from stargan_deploy.training.recipe import read_recipe
    from stargan_deploy.training.runs.run import Run, check_is_run

    run = Run(folder) if folder else None
    if run is None or not run.recipe_path.is_file():
        if request.recipe_path is None and not request.roots:
            check_is_run(folder)
        say(f"nothing to resume in {folder or './runs'}: starting anew")
        return _prepare(request)
    run.check_can_begin_again()
    say(f"{run.folder} has no checkpoint yet: starting anew with its own recipe.toml")
    path = request.recipe_path or run.recipe_path
    recipe = read_recipe(path, request.changes, request.assignments, roots=request.roots)
    return _prepare_in(run.folder, recipe, request)


def _resumed_recipe(checkpoint: Path, request: _Request) -> "Recipe":
    """The recipe given, else the saved one; in both cases with the changes asked for."""
    from stargan_deploy.families.checkpoint import read_recipe_of
    from stargan_deploy.training.recipe import change_tables, read_recipe, resolve_recipe

    changes = (request.changes, request.assignments)
    if request.recipe_path is not None:
        return read_recipe(request.recipe_path, *changes, roots=request.roots)
    return resolve_recipe(change_tables(read_recipe_of(checkpoint), *changes, roots=request.roots))


def _changes(attrs: str | None, skip_broken: bool, device: str | None) -> dict[str, Any]:
    """The settings that flags stand for, but for the places of the data folders."""
    tables: dict[str, Any] = {"skip_broken": True} if skip_broken else {}
    if attrs is not None:
        tables["attributes"] = [name.strip() for name in attrs.split(",") if name.strip()]
    changes: dict[str, Any] = {"data": tables} if tables else {}
    return changes | ({"train": {"device": device}} if device else {})


def _tell(plan: "Plan", json_output: bool) -> None:
    recipe = plan.recipe
    if json_output:
        from stargan_deploy.config import to_mapping

        show_json(to_mapping(plan))
        return
    sizes = ", ".join(f"{role} {number:,}" for role, number in plan.num_parameters.items())
    names = f"; attributes: {', '.join(plan.attributes)}" if plan.attributes else ""
    size = f"{recipe.data.image_size}x{recipe.data.image_size}"
    say(f"{plan.num_images:,} images of {plan.training_data} at {size}{names}")
    for note in plan.notes:
        say(note)
    say(f"parameters: {sizes}; {plan.num_steps:,} steps of {recipe.train.batch_size} images")


def _tell_result(trainer: "Trainer", path: Path, json_output: bool) -> None:
    if not trainer.ranks.is_writer:
        return
    if json_output:
        folder = str(trainer.run.folder)
        show_json({"run": folder, "checkpoint": str(path), "step": trainer.step})
        return
    show(f"trained to step {trainer.step}: {path}")
    say(f"next: stargan-deploy export {path}")


def _report(progress: "Progress") -> None:
    """Says how far the training is, in a line."""
    losses = "  ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
    eta = timedelta(seconds=round(progress.eta_s))
    say(
        f"step {progress.step}/{progress.num_steps}  {progress.steps_per_s:.2f} it/s  "
        f"{progress.images_per_s:.1f} images/s  ETA {eta}  {losses}"
    )
