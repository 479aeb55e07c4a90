"""`stargan-deploy train`."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import Device, DryRun, Json, Quiet

if TYPE_CHECKING:
    from stargan_deploy.training.recipe import Recipe
    from stargan_deploy.training.session import Plan
    from stargan_deploy.training.trainer import Progress, Trainer


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="TOML recipe.", show_default='the preset "demo": synthetic faces'),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
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
    device: Device = None,
    dry_run: DryRun = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Trains a model: images and labels in, checkpoints out."""
    from stargan_deploy.errors import UsageError

    if resume and init_from:
        raise UsageError("--resume goes on with a run and --init-from starts one: give one of them")
    trainer, plan = _prepare(
        recipe, _changes(recipe, data, attrs, device), set_ or [], out, resume, init_from, dry_run
    )
    if trainer is None:
        _tell(plan, json_output)
        return
    path = _run(trainer)
    result = {"run": str(trainer.run.folder), "checkpoint": str(path), "step": trainer.step}
    if json_output:
        show_json(result)
    else:
        show(f"trained to step {trainer.step}: {path}")
        say(f"next: stargan-deploy export {path}")


def _prepare(
    recipe_path: Path | None,
    changes: dict[str, Any],
    assignments: list[str],
    out: Path | None,
    resume: bool,
    init_from: Path | None,
    dry_run: bool,
) -> "tuple[Trainer | None, Plan]":
    """Everything up to the first step; no trainer on a dry run."""
    from stargan_deploy.training.recipe import read_recipe
    from stargan_deploy.training.run import Run, check_new_folder, new_run_folder
    from stargan_deploy.training.session import create_trainer, plan_training

    if resume:
        resumed = _prepare_resumed(recipe_path, changes, assignments, out, dry_run)
        if resumed:
            return resumed
    recipe = read_recipe(recipe_path, changes, assignments)
    if recipe_path is None:
        say('recipe: the preset "demo" (give a recipe or --set to change it)')
    plan = plan_training(recipe)
    folder = out or new_run_folder(recipe.name)
    check_new_folder(folder)
    say(f"run: {folder}")
    if dry_run:
        return None, plan
    _tell(plan, json_output=False)
    return create_trainer(recipe, Run(folder), init_from=init_from, report=_report), plan


def _prepare_resumed(
    recipe_path: Path | None,
    changes: dict[str, Any],
    assignments: list[str],
    out: Path | None,
    dry_run: bool,
) -> "tuple[Trainer | None, Plan] | None":
    """A trainer at the newest whole checkpoint; None where there is nothing to resume."""
    from stargan_deploy.models.checkpoint import load_checkpoint
    from stargan_deploy.training.run import Run, newest_run_folder
    from stargan_deploy.training.session import plan_training, resume_trainer

    folder = out or newest_run_folder()
    checkpoint = Run(folder).newest_checkpoint() if folder else None
    if folder is None or checkpoint is None:
        say(f"nothing to resume in {folder or './runs'}: starting anew")
        return None
    say(f"resuming {checkpoint}")
    saved = load_checkpoint(checkpoint).recipe or {}
    recipe = _resumed_recipe(saved, recipe_path, changes, assignments)
    if dry_run:
        return None, plan_training(recipe)
    trainer = resume_trainer(checkpoint, Run(folder), recipe=recipe, report=_report)
    return trainer, plan_training(recipe)


def _resumed_recipe(
    saved: dict[str, Any], recipe_path: Path | None, changes: dict[str, Any], words: list[str]
) -> "Recipe":
    """The recipe given, else the saved one; in both cases with the changes asked for."""
    from stargan_deploy.config import merge, parse_overrides
    from stargan_deploy.training.recipe import read_recipe, resolve_recipe

    if recipe_path is not None:
        return read_recipe(recipe_path, changes, words)
    return resolve_recipe(merge(merge(saved, changes), parse_overrides(words)))


def _changes(
    recipe: Path | None, data: Path | None, attrs: str | None, device: str | None
) -> dict[str, Any]:
    """The settings that flags stand for."""
    tables: dict[str, Any] = {}
    if data is not None:
        tables["root"] = str(data.resolve())
        if recipe is None:
            tables |= {"kind": "auto", "attributes": []}
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
    say(
        f"{plan.num_images:,} images at {recipe.data.image_size}x{recipe.data.image_size}; "
        f"attributes: {', '.join(plan.attributes)}"
    )
    say(f"parameters: {sizes}; {plan.num_steps:,} steps of {recipe.train.batch_size} images")


def _run(trainer: "Trainer") -> Path:
    say(f"device: {trainer.device}; reading and checking the images ...")
    return trainer.train()


def _report(progress: "Progress") -> None:
    """Says how far the training is, in a line."""
    losses = "  ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
    eta = timedelta(seconds=round(progress.eta_s))
    say(
        f"step {progress.step}/{progress.num_steps}  {progress.steps_per_s:.2f} it/s  "
        f"{progress.images_per_s:.1f} images/s  ETA {eta}  {losses}"
    )
