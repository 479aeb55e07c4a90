"""Opens the teacher that a recipe names, and makes an objective that of its student."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from stargan_deploy.card.card import ModelCard, Teacher
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import DataError, ModelError, TrainingError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_weights
from stargan_deploy.families.counting import model_size
from stargan_deploy.families.distillation.base import Distillation
from stargan_deploy.families.distillation.config import DistillationConfig
from stargan_deploy.families.distillation.objective import DistillationObjective, TeacherNetworks
from stargan_deploy.families.distillation.pruning import pruned
from stargan_deploy.families.objectives.base import Networks, Objective
from stargan_deploy.families.registry import load_family
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.training.finetuning import find_start, load_start
from stargan_deploy.training.recipe import Recipe

_log = logging.getLogger(__name__)


def distillation_of(family: str) -> Distillation:
    """A family's answers to what a distillation asks.

    Raises:
        UsageError: its models cannot be distilled.
    """
    found = load_family(family).distillation
    if found is None:
        raise UsageError(
            f"models of the family {family} cannot be distilled",
            hint="train a smaller one by its `model` settings",
        )
    return found


def sealed(recipe: Recipe) -> Recipe:
    """A recipe that names the content of its teacher's file; any other recipe as it is.

    Raises:
        TrainingError: the file is not the one that the recipe names.
        ModelError: there is no such file.
    """
    if recipe.distil is None:
        return recipe
    path = find_start(Path(recipe.distil.teacher))
    if not path.is_file():
        raise ModelError(
            f"the teacher {path} is not there", hint="set `distil.teacher` to its new place"
        )
    sha256 = file_sha256(path)
    if recipe.distil.sha256 not in ("", sha256):
        raise TrainingError(
            f"the teacher {path} has changed since this training began: its SHA-256 is "
            f"{sha256[:12]}..., and was {recipe.distil.sha256[:12]}...",
            hint="set `distil.teacher` to the file of then, or start a new run",
        )
    teacher = str(path.resolve())
    return replace(recipe, distil=replace(recipe.distil, teacher=teacher, sha256=sha256))


def as_student(objective: Objective, recipe: Recipe, config: DistillationConfig) -> Objective:
    """Give a family's objective a teacher, and its networks their first weights.

    Args:
        objective: the family's objective with fresh networks.
        recipe: the resolved settings.
        config: the recipe's `distil` table.

    Raises:
        UsageError: networks that do not fit the teacher's.
        ModelError: the teacher cannot be used.
        DataError: it has other labels than the data.
    """
    how, labels = distillation_of(recipe.family), objective.labels
    path = find_start(Path(config.teacher))
    checkpoint = load_start(path, labels, family=recipe.family)
    _refuse_other_labels(path, checkpoint.card.labels, labels)
    networks = build_model(checkpoint)
    _refuse_larger(objective.networks, networks, how.roles)
    dtype = next(objective.networks[how.roles[0]].parameters()).dtype
    for network in networks.values():
        network.to(dtype)
    teacher = TeacherNetworks(
        networks=networks,
        network_table=checkpoint.card.network,
        facts=_facts(checkpoint.card, config.sha256 or file_sha256(path)),
    )
    _start(objective, teacher, how, config)
    student = DistillationObjective(objective, teacher, how=how, config=config)
    if not student.is_supervised:
        _log.info(
            "%s holds no discriminator: the student learns from its images and features alone; "
            "nothing corrects where it looks less real, or less like its label, than they do",
            path,
        )
    return student


def _facts(card: ModelCard, sha256: str) -> Teacher:
    size = model_size(card)
    return Teacher(sha256=sha256, macs=size.macs, parameters=size.parameters)


def _start(
    objective: Objective, teacher: TeacherNetworks, how: Distillation, config: DistillationConfig
) -> None:
    """Load the teacher's weights: all of a discriminator's, and the best of a generator's."""
    own, known = objective.network_table(), teacher.network_table
    for role, network in objective.networks.items():
        if role not in teacher.networks:
            continue
        theirs = teacher.networks[role].state_dict()
        if role not in how.roles:
            _take_whole(role, network, theirs)
        elif config.start == "pruned":
            fresh = network.state_dict()
            keys = {k: how.key_in_teacher(k, student=own, teacher=known) for k in fresh}
            weights = pruned(
                {key: theirs[source] for key, source in keys.items() if source in theirs},
                fresh,
                how.channels(own),
                importance=config.importance,
            )
            load_weights(network, weights, complaint=f"the teacher's {role} does not fit")


def _take_whole(role: str, network: nn.Module, theirs: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    shapes, wanted = ({k: v.shape for k, v in each.items()} for each in (theirs, own))
    if shapes != wanted:
        raise UsageError(
            f"the teacher's {role} has other shapes than the recipe's",
            hint="set `data.image_size` and the discriminator's settings to those of the teacher",
        )
    load_weights(network, theirs, complaint=f"the teacher's {role} does not fit")


def _refuse_other_labels(path: Path, known: LabelSpace, found: LabelSpace) -> None:
    if [(s.kind, s.names) for s in known.sets] == [(s.kind, s.names) for s in found.sets]:
        return
    raise DataError(
        f"the teacher {path} knows the labels {_listed(known.names)}, and the data has "
        f"{_listed(found.names)}",
        hint="a student has its teacher's labels, in their order: choose them with `attributes`, "
        "or give the teacher's own data",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _refuse_larger(students: Networks, teachers: Networks, roles: Iterable[str]) -> None:
    own, theirs = (
        sum(p.numel() for role in roles for p in networks[role].parameters())
        for networks in (students, teachers)
    )
    if own > theirs:
        raise UsageError(
            f"the student would be larger than its teacher: {own:,} weights, and the teacher has "
            f"{theirs:,}",
            hint="set a smaller `width`, or fewer `blocks`",
        )
