"""From a recipe to a trainer: opens the data, builds the objective, loads weights."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch

from stargan_deploy.card.labels import NO_LABELS, multilabel_space, onehot_space
from stargan_deploy.data.batches.loading import epoch_length, image_names
from stargan_deploy.data.batches.prepared import crop_remark
from stargan_deploy.data.layouts.listed import PAPER_ATTRIBUTES
from stargan_deploy.data.open import open_source
from stargan_deploy.data.source import ImageSource, SequenceSource
from stargan_deploy.devices import choose_device
from stargan_deploy.distributed import Ranks, local_device
from stargan_deploy.errors import (
    ConfigError,
    DataError,
    StarganDeployError,
    TrainingError,
    UsageError,
)
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.checkpoint import load_checkpoint
from stargan_deploy.families.objectives.base import (
    AUXILIARY,
    Objective,
    ObjectiveRequest,
    Phase,
)
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.training.distillation.teacher import as_student, sealed
from stargan_deploy.training.finetuning import find_start, load_start, take_weights
from stargan_deploy.training.recipe import (
    Recipe,
    course_changes,
    differences,
    num_steps,
    resolve_recipe,
)
from stargan_deploy.training.runs.recorder import Report
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.trainer import Trainer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Description of a training before it starts."""

    recipe: Recipe
    training_data: str
    """Description of the images, and with two domains of both."""
    num_images: int
    num_steps: int
    num_parameters: dict[str, int]
    attributes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """Lines about files of the data set that were left out."""


def plan_training(
    recipe: Recipe, *, init_from: Path | None = None, checkpoint: Path | None = None
) -> Plan:
    """Open the data, build the networks and check the device without writing anything.

    Args:
        recipe: the resolved settings.
        init_from: checkpoint whose weights a new run starts from.
        checkpoint: checkpoint that a run continues from.

    Raises:
        StarganDeployError: anything that would stop the training before its first step.
    """
    choose_device(local_device(recipe.train.device) or None)
    recipe = sealed(recipe)
    source = open_source(recipe.data, "train")
    open_source(recipe.data, "test")
    if checkpoint:
        earlier = _read_earlier(checkpoint)
        recipe = _continued(earlier, recipe, source, path=checkpoint)
    objective = build_objective(recipe, source)
    if checkpoint:
        _refuse_another_past(earlier, objective, source, path=checkpoint)
    notes: list[str] = []
    if init_from:
        _refuse_teacher(recipe)
        start = load_start(find_start(init_from), source.label_space, family=recipe.family)
        notes = take_weights(objective, start, family=recipe.family)
    plan = _describe(recipe, source, objective)
    remark = crop_remark(source, recipe.data)
    return replace(plan, notes=(*plan.notes, *notes, *([remark] if remark else [])))


def plan_of(trainer: Trainer) -> Plan:
    """The plan of a trainer."""
    return _describe(trainer.recipe, trainer.source, trainer.objective)


def create_trainer(
    recipe: Recipe,
    run: Run,
    *,
    train_source: ImageSource | None = None,
    sample_source: ImageSource | None = None,
    init_from: Path | None = None,
    ranks: Ranks | None = None,
    report: Report = lambda _: None,
) -> Trainer:
    """Build a trainer at its first step.

    Args:
        recipe: the resolved settings.
        run: the run folder to write.
        train_source: images to train on; None opens what the recipe names.
        sample_source: held-out images for samples; None opens what the recipe names.
        init_from: one of our checkpoints, or an official generator, whose weights to start from.
        ranks: this process among those that train together.
        report: called after each line of metrics.
    """
    recipe = sealed(recipe)
    if init_from:
        _refuse_teacher(recipe)
    source = train_source or open_source(recipe.data, "train")
    init_from = find_start(init_from) if init_from else None
    first = load_start(init_from, source.label_space, family=recipe.family) if init_from else None
    objective = build_objective(recipe, source)
    if first:
        for note in take_weights(objective, first, family=recipe.family):
            _log.info(note)
    return Trainer(
        recipe,
        objective,
        train_source=source,
        sample_source=sample_source or open_source(recipe.data, "test"),
        run=run,
        parents={"initial weights": file_sha256(init_from)} if init_from else {},
        ranks=ranks,
        report=report,
    )


def resume_trainer(
    checkpoint_path: Path,
    run: Run,
    *,
    recipe: Recipe | None = None,
    ranks: Ranks | None = None,
    report: Report = lambda _: None,
) -> Trainer:
    """Build a trainer that continues from a checkpoint.

    Args:
        checkpoint_path: a whole training checkpoint.
        run: the run folder to continue.
        recipe: new settings; None takes the checkpoint's own.
        ranks: this process among those that train together; any number of them may resume.
        report: called after each line of metrics.

    Raises:
        TrainingError: the settings contradict those of the checkpoint, or it holds none.
    """
    earlier = _read_earlier(checkpoint_path)
    recipe = sealed(recipe or earlier.recipe)
    source = open_source(recipe.data, "train")
    recipe = _continued(earlier, recipe, source, path=checkpoint_path)
    trainer = create_trainer(recipe, run, train_source=source, ranks=ranks, report=report)
    _refuse_another_past(earlier, trainer.objective, source, path=checkpoint_path)
    trainer.restore(earlier.checkpoint)
    return trainer


def _refuse_teacher(recipe: Recipe) -> None:
    """Refuse two origins of a student's weights."""
    if recipe.distil:
        raise UsageError(
            "a student's first weights are its teacher's, and `init_from` names others",
            hint="give one of `distil.teacher` and `init_from`",
        )


@dataclass(frozen=True)
class _Earlier:
    """A training up to a checkpoint."""

    checkpoint: Checkpoint
    recipe: Recipe

    @property
    def step(self) -> int:
        return self.checkpoint.card.step


def _read_earlier(path: Path) -> _Earlier:
    checkpoint = load_checkpoint(path, with_training_state=True)
    if checkpoint.recipe is None:
        raise TrainingError(f"{path} is not a training checkpoint: it holds no recipe")
    return _Earlier(checkpoint, resolve_recipe(checkpoint.recipe))


def _continued(earlier: _Earlier, recipe: Recipe, source: ImageSource, *, path: Path) -> Recipe:
    """The settings of a continuation, after a note on those that change its course.

    With another batch size, a length in passes over the data becomes one in steps: those done, and
    those that the rest of the images takes.

    Raises:
        TrainingError: settings that may not change.
    """
    if changed := differences(earlier.recipe, recipe):
        raise TrainingError(
            f"cannot resume {path} with other settings ({'; '.join(changed)})",
            hint="start a new run with `init_from` instead; batch size, learning rates, schedule, "
            "precision, weights of losses, length and output may change",
        )
    before, after = earlier.recipe.train, recipe.train
    if after.epochs is not None and after.batch_size != before.batch_size:
        num_left = after.epochs * epoch_length(source) - earlier.step * before.batch_size
        steps = earlier.step + max(1, round(num_left / after.batch_size))
        recipe = replace(recipe, train=replace(after, epochs=None, steps=steps))
        _log.info("train.epochs: %g -> train.steps: %d, at the new size", after.epochs, steps)
    if noted := course_changes(earlier.recipe, recipe):
        _log.info(
            "resuming with other settings (%s): no longer bit-identical to a run without the "
            "change",
            "; ".join(noted),
        )
    return recipe


def _refuse_another_past(
    earlier: _Earlier, objective: Objective, source: ImageSource, *, path: Path
) -> None:
    """Refuse other labels, and a length with which the steps so far were in other phases."""
    labels = earlier.checkpoint.card.labels
    if objective.labels != labels:
        raise TrainingError(
            f"cannot resume {path}, which learns {', '.join(labels.names)}, on data with "
            f"{', '.join(objective.labels.names)}",
            hint="give the data of that run, several sets in their order",
        )
    phases, step = objective.phases, earlier.step
    length = num_steps(earlier.recipe.train, epoch_length(source))
    wanted = sum(phase.num_steps for phase in phases)
    if len(phases) == 1 or length == wanted:
        return
    before = build_objective(earlier.recipe, source).phases
    if _begun(before, step) != _begun(phases, step):
        raise TrainingError(
            f"cannot resume a training of {length} steps as one of {wanted}: its "
            f"{len(phases)} stages divide all steps, so that step {step} would be at another one",
            hint="keep the length, or start a new run with `init_from`",
        )


def _begun(phases: Sequence[Phase], step: int) -> list[tuple[int, int]]:
    """Steps and image size of the phases that the first steps are in."""
    starts = accumulate((phase.num_steps for phase in phases), initial=0)
    return [
        (phase.num_steps, phase.image_size)
        for phase, start in zip(phases, starts, strict=False)
        if start < step
    ]


def count_parameters(recipe: Recipe) -> int:
    """The number of weights that a recipe trains, with labels like those of its usual data."""
    spaces = (multilabel_space(PAPER_ATTRIBUTES), onehot_space("0123456789"), NO_LABELS)
    for space in spaces:
        source = SequenceSource([], np.zeros((0, space.label_width)), label_space=space)
        with contextlib.suppress(StarganDeployError), torch.device("meta"):
            networks = _create_objective(recipe, source).networks.values()
            return sum(p.numel() for network in networks for p in network.parameters())
    raise ConfigError(f"the family {recipe.family} takes none of the usual labels")


def build_objective(recipe: Recipe, source: ImageSource) -> Objective:
    """The family's objective; its fresh weights depend on the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        objective = _create_objective(recipe, source)
    _check_images(recipe, objective, source)
    return objective


def _create_objective(recipe: Recipe, source: ImageSource) -> Objective:
    request = ObjectiveRequest(
        model=recipe.model,
        loss=recipe.loss,
        labels=source.label_space,
        image_size=recipe.data.image_size,
        batch_size=recipe.train.batch_size,
        num_steps=num_steps(recipe.train, epoch_length(source)),
        optimizers=recipe.train,
        data_kind=recipe.data.kind,
        label_shares=source.label_shares(),
    )
    objective = load_family(recipe.family).create_objective(request)
    if recipe.distil:
        return as_student(objective, recipe, recipe.distil)
    if missing := {r for u in objective.updates for r in u.networks} - objective.networks.keys():
        raise ConfigError(
            f"the recipe's model has no {', '.join(sorted(missing))}, which its training needs",
            hint="see its `model` settings",
        )
    return objective


def _check_images(recipe: Recipe, objective: Objective, source: ImageSource) -> None:
    """Refuse data whose batches lack an image that the losses need."""
    found = image_names(source)
    if not set(objective.takes) <= set(found):
        raise DataError(
            f"{recipe.family} learns from {' and '.join(objective.takes)}, and "
            f"{source.description} provides {' and '.join(found)}",
            hint="see `data.kind` in the recipe",
        )


def _describe(recipe: Recipe, source: ImageSource, objective: Objective) -> Plan:
    sizes = {
        role: sum(p.numel() for p in network.parameters())
        for role, network in objective.networks.items()
        if not role.startswith(AUXILIARY)
    }
    return Plan(
        recipe=recipe,
        training_data=source.description,
        num_images=len(source),
        num_steps=sum(phase.num_steps for phase in objective.phases),
        num_parameters=sizes,
        attributes=objective.labels.names,
        notes=source.notes,
    )
