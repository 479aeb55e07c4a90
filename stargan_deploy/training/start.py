"""Decides how a training begins: a new run, or the continuation of an earlier one."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stargan_deploy.data.source import ImageSource
from stargan_deploy.distributed import Ranks
from stargan_deploy.errors import TrainingError, UsageError
from stargan_deploy.families.checkpoint import newest_run, read_recipe_of
from stargan_deploy.files.atomic import check_folder
from stargan_deploy.files.runs import RUNS, run_folders
from stargan_deploy.files.walk import found_at
from stargan_deploy.training.recipe import (
    Recipe,
    change_tables,
    differences,
    read_recipe,
    resolve_recipe,
)
from stargan_deploy.training.runs.recorder import Report
from stargan_deploy.training.runs.run import Run, new_run_folder
from stargan_deploy.training.session import Plan, create_trainer, plan_training, resume_trainer
from stargan_deploy.training.trainer import Trainer

MAX_SHOWN_RUNS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """A training as a user requests it."""

    recipe_path: Path | None = None
    """TOML recipe, or the name of one that comes with the package; None takes the preset "demo", or
    on resuming the run's own recipe."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Tables of settings that differ from the recipe's."""
    assignments: Sequence[str] = ()
    """Further changes as `section.key=value`."""
    roots: Sequence[str] = ()
    """Folders of the data sets, in the recipe's order."""
    out: Path | None = None
    """The run folder; None makes one in ./runs, or on resuming takes the newest run."""
    resume: bool = False
    """Whether to continue the run in `out`."""
    init_from: Path | None = None
    """Checkpoint whose weights a new run starts from."""

    def __post_init__(self) -> None:
        if self.resume and self.init_from:
            raise UsageError(
                "`resume` continues a run and `init_from` starts one", hint="give one of them"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """A training that is decided on but not opened."""

    recipe: Recipe
    folder: Path
    checkpoint: Path | None = None
    """The checkpoint to continue from; None for a new run."""
    init_from: Path | None = None


def resolve_start(request: TrainingRequest, ranks: Ranks | None = None) -> TrainingStart:
    """Decide on recipe, run folder and checkpoint; write nothing. Rank 0 decides for all ranks.

    Raises:
        ConfigError: a setting that does not fit.
        TrainingError: there is nothing to resume, or the folder holds another run.
    """
    ranks = ranks or Ranks()
    if not request.resume:
        return _new_run(request, ranks)
    folder = request.out or newest_run() or next(iter(run_folders()), None)
    newest = Run(folder).newest_checkpoint() if folder else None
    found = ranks.broadcast(str(newest or ""))
    if not found:
        return _begin_again(folder, request, ranks)
    checkpoint = Path(found)
    _log.info("resuming %s", checkpoint)
    recipe = _resumed_recipe(checkpoint, request)
    return TrainingStart(recipe=recipe, folder=checkpoint.parent.parent, checkpoint=checkpoint)


def start_run(
    recipe: Recipe,
    *,
    out: Path | None = None,
    init_from: Path | None = None,
    ranks: Ranks | None = None,
) -> TrainingStart:
    """Decide on the folder of a new run.

    Args:
        recipe: the resolved settings.
        out: the run folder; None takes a new one in ./runs.
        init_from: checkpoint whose weights to start from.
        ranks: this process among those that train together; rank 0 decides.

    Raises:
        TrainingError: the folder holds another run, or checkpoints.
    """
    recipe.data.refuse_unused_folders()
    folder = Path((ranks or Ranks()).broadcast(str(out or new_run_folder(recipe.name))))
    _check_new_folder(folder, recipe)
    _log.info("run: %s", folder)
    return TrainingStart(recipe=recipe, folder=folder, init_from=init_from)


def plan_start(start: TrainingStart) -> Plan:
    """Describe a training without writing anything.

    Raises:
        StarganDeployError: anything that would stop the training before its next step.
    """
    if start.checkpoint is None:
        check_folder(start.folder)
    return plan_training(start.recipe, init_from=start.init_from, checkpoint=start.checkpoint)


def open_training(
    start: TrainingStart,
    *,
    train_source: ImageSource | None = None,
    sample_source: ImageSource | None = None,
    ranks: Ranks | None = None,
    report: Report = lambda _: None,
) -> Trainer:
    """Build the trainer of a training; a new run's folder is made first, to fail early.

    Args:
        start: the training.
        train_source: a new run's images to train on; None opens what the recipe names.
        sample_source: a new run's held-out images; None opens what the recipe names.
        ranks: this process among those that train together.
        report: called after each line of metrics.

    Raises:
        StarganDeployError: anything that stops the training before its next step.
    """
    run = Run(start.folder)
    if start.checkpoint:
        return resume_trainer(
            start.checkpoint, run, recipe=start.recipe, ranks=ranks, report=report
        )
    if (ranks or Ranks()).is_writer:
        run.make()
    with run.removed_on_failure():
        return create_trainer(
            start.recipe,
            run,
            train_source=train_source,
            sample_source=sample_source,
            init_from=start.init_from,
            ranks=ranks,
            report=report,
        )


def _new_run(request: TrainingRequest, ranks: Ranks) -> TrainingStart:
    recipe = _read_recipe(request.recipe_path, request)
    if request.recipe_path is None:
        _log.info(
            'recipe: the preset "demo", a small network; larger ones and other families: '
            "stargan-deploy train `list`"
        )
    return start_run(recipe, out=request.out, init_from=request.init_from, ranks=ranks)


def _begin_again(folder: Path | None, request: TrainingRequest, ranks: Ranks) -> TrainingStart:
    """Start a run without a checkpoint: with its own recipe, or else with a given one.

    Raises:
        TrainingError: there is neither, or the run needs more than its recipe.
    """
    run = Run(folder) if folder else None
    if run is None or not run.recipe_path.is_file():
        if request.recipe_path is None and not request.roots:
            raise _no_run(folder)
        _log.info("nothing to resume in %s: starting anew", folder or f"./{RUNS}")
        return _new_run(request, ranks)
    run.check_can_begin_again()
    _log.info("%s has no checkpoint yet: starting anew with its own recipe.toml", run.folder)
    recipe = _read_recipe(request.recipe_path or run.recipe_path, request)
    return start_run(recipe, out=run.folder, ranks=ranks)


def _resumed_recipe(checkpoint: Path, request: TrainingRequest) -> Recipe:
    """The given recipe, else the saved one; with the requested changes in both cases."""
    if request.recipe_path is not None:
        return _read_recipe(request.recipe_path, request)
    saved = read_recipe_of(checkpoint)
    changes = (request.changes, request.assignments)
    return resolve_recipe(change_tables(saved, *changes, roots=request.roots))


def _read_recipe(path: Path | None, request: TrainingRequest) -> Recipe:
    return read_recipe(path, request.changes, request.assignments, roots=request.roots)


def _no_run(folder: Path | None) -> TrainingError:
    """The complaint about a folder that is not a run."""
    message = f"no run to resume in ./{RUNS}"
    if folder is not None:
        found = found_at(folder)
        what = {"folder": "holds no recipe.toml", "file": "is a file"}.get(found, "does not exist")
        message = f"{folder} {what}, so there is no run to resume"
    runs = ", ".join(map(str, run_folders()[:MAX_SHOWN_RUNS]))
    hint = f"runs here: {runs}" if runs else "name a recipe or `data` to start one"
    return TrainingError(message, hint=hint)


def _check_new_folder(folder: Path, recipe: Recipe) -> None:
    """Refuse a folder that already holds another run, or checkpoints."""
    path = Run(folder).recipe_path
    changed = differences(read_recipe(path, {}, []), recipe) if path.is_file() else []
    if changed:
        raise TrainingError(
            f"{folder} already holds a run with another recipe ({'; '.join(changed[:3])})",
            hint="choose another `out`",
        )
    if any(folder.glob("checkpoints/step-*.safetensors")):
        raise TrainingError(
            f"{folder} already holds a run",
            hint="continue it with `resume`, or choose another `out`",
        )
