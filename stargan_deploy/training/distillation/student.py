"""Writes the recipe of a student: its teacher's, with smaller networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stargan_deploy.card.card import ModelCard
from stargan_deploy.config import merge, parse_overrides, read_toml
from stargan_deploy.data.config import AUTO
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import UsageError
from stargan_deploy.families.checkpoint import read_card, read_recipe_of
from stargan_deploy.families.distillation.config import WIDTH
from stargan_deploy.families.registry import FAMILIES, load_family, official_families
from stargan_deploy.training.distillation.teacher import distillation_of, sealed
from stargan_deploy.training.finetuning import find_start, load_start
from stargan_deploy.training.recipe import Recipe, change_tables, resolve_recipe


@dataclass(frozen=True, kw_only=True)
class StudentRequest:
    """A distillation as a user requests it."""

    teacher: Path
    """Checkpoint, run's folder, or official generator."""
    width: int = WIDTH
    """Channels of the student's first layer."""
    blocks: int | None = None
    """Residual blocks of the student; None takes the teacher's number."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Tables of settings that differ from the teacher's."""
    assignments: Sequence[str] = ()
    """Further changes as `section.key=value`."""
    roots: Sequence[str] = ()
    """Folders of the data sets; none takes those that the teacher was trained on."""


def student_recipe(request: StudentRequest) -> Recipe:
    """The recipe of a student: its teacher's where that is known, else its family's.

    Raises:
        UsageError: a student that is larger than its teacher, a family without students, or no
            data where the teacher does not say which.
        ModelError: the teacher cannot be read.
        ConfigError: a setting that does not fit.
    """
    path = find_start(request.teacher)
    official = _official_family(path)
    card = _official_card(path, official, request) if official else read_card(path)
    how = distillation_of(card.family)
    tables = {} if official else _recipe_behind(path, card)
    if not tables:
        _refuse_no_data(path, request)
    tables = merge(tables or _from_card(card), how.settings)
    tables |= {
        "name": f"student{request.width}",
        "family": card.family,
        "model": how.narrowed(card.network, width=request.width, num_blocks=request.blocks),
        "distil": {"teacher": str(path.resolve())},
    }
    changes = merge(_of_teachers_labels(card, request), request.changes)
    changed = change_tables(tables, changes, request.assignments, roots=request.roots)
    return sealed(resolve_recipe(changed))


def _recipe_behind(path: Path, card: ModelCard) -> dict[str, Any]:
    """The recipe of the training that wrote a checkpoint; of a finished model its run's."""
    if found := read_recipe_of(path):
        return found
    beside = path.parent / "recipe.toml"
    tables = read_toml(beside) if beside.is_file() else {}
    return tables if tables.get("family") == card.family else {}


def _from_card(card: ModelCard) -> dict[str, Any]:
    """What a card says about its training."""
    how = card.preprocessing
    data: dict[str, Any] = {"image_size": how.image_size, "crop_size": how.crop_size or 0}
    if how.value_range:
        data["range"] = list(how.value_range)
    if how.condition:
        data["condition"] = how.condition
    preset = load_family(card.family).presets.get(card.family, {})
    return merge(preset, {"data": data})


def _refuse_no_data(path: Path, request: StudentRequest) -> None:
    """Refuse to draw faces for a teacher that may have learnt from photos.

    Raises:
        UsageError: no data is named.
    """
    if not request.roots and not {"root", "kind", "sets"} & _wanted_data(request).keys():
        raise UsageError(
            f"{path} does not say where the images are that it was trained on",
            hint="give them as `root`; the labels of an official checkpoint, in their order, as "
            "`attributes`",
        )


def _wanted_data(request: StudentRequest) -> dict[str, Any]:
    """The settings of the data that the user changes."""
    return dict(merge(request.changes, parse_overrides(request.assignments)).get("data", {}))


def _of_teachers_labels(card: ModelCard, request: StudentRequest) -> dict[str, Any]:
    """Changes by which any data is read with the teacher's labels."""
    if len(card.labels.sets) != 1:
        return {}
    data: dict[str, Any] = {"attributes": list(card.labels.names)}
    return {"data": data | ({"kind": AUTO} if request.roots else {})}


def _official_family(path: Path) -> str:
    """The family whose official checkpoint a file is; empty for one of ours."""
    if any(path.suffix in load_family(name).official_suffixes for name in FAMILIES):
        return next(iter(official_families(path)), "")
    return ""


def _official_card(path: Path, family: str, request: StudentRequest) -> ModelCard:
    """The card of an official checkpoint, whose labels are those of the data."""
    _refuse_no_data(path, request)
    data = {"data": _wanted_data(request), "family": family}
    recipe = resolve_recipe(change_tables({}, data, (), roots=request.roots))
    labels = open_source(recipe.data, "train").label_space
    return load_start(path, labels, family=family).card
