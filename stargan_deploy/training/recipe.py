"""Recipes: the whole of a training's settings, and the presets that recipes start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from stargan_deploy.config import (
    flatten,
    from_mapping,
    merge,
    parse_overrides,
    read_toml,
    refuse_below,
    to_mapping,
)
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import place_roots
from stargan_deploy.errors import CardError, ConfigError, unknown_name
from stargan_deploy.families.base import Family
from stargan_deploy.families.distillation.config import DistillationConfig
from stargan_deploy.families.objectives.base import OptimizerSettings
from stargan_deploy.families.objectives.precision import PrecisionName
from stargan_deploy.families.registry import DEFAULT_FAMILY, find_preset, load_family, presets

ScheduleName = Literal["paper", "official", "constant"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(OptimizerSettings):
    """How long, how fast and on what to train."""

    steps: int = 200_000
    """Length in steps of the discriminator, one batch each."""
    epochs: float | None = None
    """Length in passes over the data, with two domains over the larger one; replaces `steps` if
    given."""
    batch_size: int = 16
    """Images per step."""
    schedule: ScheduleName = "paper"
    """Learning rates: "paper" falls linearly to zero over the second half; "official" follows the
    official code's last version, lr / 100,000 less once every 1,000 steps, which is hardly a
    decay; "constant" stays."""
    ema_decay: float = 0.999
    """Decay per generator step of the moving average of its weights; 0 keeps no average."""
    precision: PrecisionName = "fp32"
    """Format that the networks compute in: fp32, bf16, or fp16 with scaled losses. Weights,
    losses and the gradient penalty stay in fp32."""
    compile: bool = False
    """Whether to torch.compile the losses, the penalty included; pays off on a GPU."""
    channels_last: bool | None = None
    """Whether tensors are laid out N H W C in memory; absent means on a GPU, where it pays off."""
    device: str = ""
    """cpu, cuda, cuda:N or mps; empty takes a usable GPU, else the CPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below(1, {"steps": self.steps, "batch_size": self.batch_size})
        if self.epochs is not None and self.epochs <= 0:
            raise ValueError(f"epochs must be positive, not {self.epochs}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), not {self.ema_decay}")


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """The files that a run writes, and how often."""

    log_every: int = 10
    """Steps between lines of metrics."""
    sample_every: int = 1000
    """Steps between sample grids."""
    evaluate_every: int = 1000
    """Steps between evaluations of translated held-out images; 0 for none."""
    num_evaluated: int = 64
    """Held-out images per evaluation."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; the last step always makes one."""
    keep_checkpoints: int = 3
    """Number of newest checkpoints kept; 0 keeps all."""
    keep_best: bool = True
    """Whether the checkpoint with the best evaluation so far is kept as `best.safetensors`."""
    model_precision: Literal["fp32", "fp16"] = "fp32"
    """Storage format of the finished model's weights in `model.safetensors`."""
    num_samples: int = 8
    """Rows of a sample grid."""

    def __post_init__(self) -> None:
        positive = ("log_every", "sample_every", "checkpoint_every", "num_samples", "num_evaluated")
        refuse_below(1, {name: getattr(self, name) for name in positive})
        refuse_below(0, {n: getattr(self, n) for n in ("keep_checkpoints", "evaluate_every")})


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Evaluation of the checkpoint that a training would leave, as by `stargan-deploy evaluate`."""

    every: int = 0
    """Steps between evaluations; 0 for none. The best checkpoint is then chosen by them."""
    judge: str = ""
    """Independent classifier: a checkpoint, a run's folder or an artefact; empty takes the model's
    own classifier."""
    count: int = 64
    """Held-out photos, or images from noise, of an evaluation."""

    def __post_init__(self) -> None:
        refuse_below(0, {"every": self.every})
        refuse_below(2, {"count": self.count})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a training."""

    name: str = "run"
    """Start of the run folder's name."""
    family: str = DEFAULT_FAMILY
    """Networks and losses; a family starts from the preset of its name, if there is one."""
    seed: int = 0
    """Seed of the weights, the order of the data, mirroring and every draw."""
    intended_use: str = ""
    """Purpose of the model in its maker's words; part of the card."""
    data: DataConfig = field(default_factory=DataConfig)
    model: Any = field(default_factory=dict)
    """The family's `model_config`."""
    loss: Any = field(default_factory=dict)
    """The family's `loss_config`."""
    train: TrainConfig = field(default_factory=TrainConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    distil: DistillationConfig | None = None
    """The teacher that the model is a student of; absent for none."""

    def __post_init__(self) -> None:
        refuse_below(0, {"seed": self.seed})


LENGTH_SETTINGS = ("train.steps", "train.epochs")
FREE_ON_RESUME = (
    *LENGTH_SETTINGS,
    "name",
    "intended_use",
    "data.licence",
    "data.root",
    "data.sets.*.root",
    "data.skip_broken",
    "data.num_workers",
    "data.cache_mib",
    "train.device",
    "train.compile",
    "train.channels_last",
    "distil.teacher",
    "output",
    "evaluate",
)
"""Settings, or whole tables of them, that may differ between a run and its continuation."""


COURSE_SETTINGS = (
    "train.batch_size",
    "train.generator_lr",
    "train.discriminator_lr",
    "train.beta1",
    "train.beta2",
    "train.schedule",
    "train.precision",
)
"""Further settings that may differ, as may the weights of losses, at the price of exactness."""


def resolve_recipe(mapping: Mapping[str, Any]) -> Recipe:
    """Build a recipe from tables that change a preset.

    The preset is the one that the tables name, else the namesake of their family, if any. What a
    recipe says about itself in a table `about` is left out.

    Raises:
        ConfigError: an unknown preset, family or key, or a value that does not fit.
    """
    tables = {key: value for key, value in mapping.items() if key != "about"}
    name = tables.pop("preset", None)
    preset = _preset(name, tables.get("family"))
    tables = _merge(preset, tables)
    family = _family(tables.get("family", DEFAULT_FAMILY))
    if name is not None:
        _refuse_preset_of_another(str(name), preset, family)
    _refuse_unknown(tables, family)
    recipe = from_mapping(Recipe, tables)
    model = from_mapping(family.model_config, recipe.model, path="model")
    return replace(
        recipe,
        model=family.resolve_model(model, recipe.data.image_size),
        loss=from_mapping(family.loss_config, recipe.loss, path="loss"),
    )


def packaged_recipes() -> dict[str, Path]:
    """The recipes that come with the package by name; in a checkout those of its folder train."""
    package = Path(__file__).parent.parent
    folders = (package / "recipes", package.parent / "train")
    found = next((list(f.glob("*.toml")) for f in folders if any(f.glob("*.toml"))), [])
    return {path.stem: path for path in sorted(found)}


def find_recipe(path: Path) -> Path:
    """The file of a recipe that is named by its path, or is one of the package's by its name.

    Raises:
        ConfigError: there is no such file or name.
    """
    known = packaged_recipes()
    if path.is_file() or (path.suffix and path.stem not in known):
        return path
    if path.name in known:
        return known[path.name]
    if path.stem in known:
        raise ConfigError(f"cannot read recipe {path}", hint=f"name the package's own: {path.stem}")
    raise ConfigError(unknown_name("recipe", str(path), known))


def read_recipe(
    path: Path | None,
    changes: Mapping[str, Any],
    assignments: Sequence[str],
    *,
    roots: Sequence[str] = (),
) -> Recipe:
    """Read a recipe by its path or name, or take the preset "demo", and change it.

    For the arguments see `change_tables`.

    Raises:
        ConfigError: a setting that does not fit.
    """
    path = find_recipe(path) if path else None
    tables: dict[str, Any] = read_toml(path) if path else {"preset": "demo"}
    if path and "name" not in tables:
        tables["name"] = path.stem
    return resolve_recipe(change_tables(tables, changes, assignments, roots=roots))


def change_tables(
    tables: Mapping[str, Any],
    changes: Mapping[str, Any],
    assignments: Sequence[str],
    *,
    roots: Sequence[str] = (),
) -> dict[str, Any]:
    """Change a recipe's tables; the synthetic images of a recipe give way to a user's own data.

    Args:
        tables: the recipe.
        changes: tables of changed settings.
        assignments: `section.key=value` words; they take precedence over `changes`.
        roots: folders of the data sets, in the recipe's order.

    Raises:
        ConfigError: a setting that does not fit.
    """
    wanted = _merge(changes, parse_overrides(assignments))
    changed = _merge(tables, wanted)
    preset = _preset(changed.get("preset"), changed.get("family"))
    data = merge(preset, changed).get("data", {})
    if not isinstance(data, Mapping):
        return changed
    own, named = wanted.get("data"), tables.get("data")
    asked = dict(own) if isinstance(own, Mapping) else {}
    if isinstance(named, Mapping) and "kind" not in named:  # the preset draws, the recipe does not
        asked = {key: named[key] for key in ("root", "attributes") if key in named} | asked
    places = place_roots(data, roots, wanted=asked)
    return merge(changed, {"data": places} if places else {})


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Settings, as `key: old -> new`, that a continuation may not change."""
    return [str(change) for change in _changes(old, new) if not change.is_of_course]


def course_changes(old: Recipe, new: Recipe) -> list[str]:
    """Settings, as `key: old -> new`, with which a continuation is not what the run would be."""
    return [str(change) for change in _changes(old, new) if change.is_of_course]


@dataclass(frozen=True)
class _Change:
    """A setting that differs between a run and its continuation."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new}"

    @property
    def is_of_course(self) -> bool:
        """Whether a continuation may change it, at the price of exactness."""
        is_weight = {type(self.old), type(self.new)} <= {float, type(None)}
        return self.key in COURSE_SETTINGS or (
            self.key.startswith(("loss.", "distil.")) and is_weight
        )


def _changes(old: Recipe, new: Recipe) -> list[_Change]:
    """Settings that differ, without those that do not matter."""
    old_flat, new_flat = flatten(to_mapping(old)), flatten(to_mapping(new))
    keys = [
        key
        for key in old_flat | new_flat
        if not any(fnmatch(key, free) or key.startswith(f"{free}.") for free in FREE_ON_RESUME)
    ]
    found = [_Change(key, old_flat.get(key), new_flat.get(key)) for key in keys]
    return [change for change in found if change.old != change.new]


def num_steps(train: TrainConfig, num_rows: int) -> int:
    """Length of a training in steps; a pass over the data has `num_rows` rows of batches."""
    if train.epochs is None:
        return train.steps
    return max(1, round(train.epochs * num_rows / train.batch_size))


def _preset(name: Any, family: Any) -> Mapping[str, Any]:
    """The tables of a preset by name; without a name those of the family's namesake, if any."""
    if name is None:
        return presets().get(family, {}) if isinstance(family, str) else {}
    return find_preset(str(name))


def _family(name: Any) -> Family:
    if not isinstance(name, str):
        raise ConfigError(f"family must be a string, not {name!r}")
    try:
        return load_family(name)
    except CardError as error:
        raise ConfigError(error.message, hint=error.hint) from error


def _refuse_preset_of_another(name: str, preset: Mapping[str, Any], family: Family) -> None:
    """Refuse a preset whose networks or losses have settings that a family does not know."""
    known = _tables_of(family)
    unknown = [
        key for table in ("model", "loss") for key in preset.get(table, {}).keys() - known[table]
    ]
    if unknown and preset["family"] != family.name:
        own = family.name if family.name in presets() else "one of its own"
        raise ConfigError(
            f"the preset {name!r} is of the family {preset['family']}, not {family.name}",
            hint=f"set preset={own} instead, or name a recipe of {family.name}",
        )


def _refuse_unknown(tables: Mapping[str, Any], family: Family) -> None:
    """Refuse settings that do not exist, with the nearest ones of any table."""
    known = _tables_of(family)
    top = [entry.name for entry in fields(Recipe)]
    paths = {table: [f"{table}.{name}" for name in names] for table, names in known.items()}
    everywhere = [path for own in paths.values() for path in own]
    everywhere += [name for name in top if name not in known]
    for key, value in tables.items():
        if key not in top:
            raise ConfigError(unknown_name("setting", key, top, elsewhere=everywhere))
        inner = value if key in known and isinstance(value, Mapping) else {}
        for path in (f"{key}.{name}" for name in inner if name not in known[key]):
            raise ConfigError(unknown_name("setting", path, paths[key], elsewhere=everywhere))


def _tables_of(family: Family) -> dict[str, list[str]]:
    """The settings of each table of a recipe."""
    kinds: dict[str, Any] = {
        "data": DataConfig,
        "model": family.model_config,
        "loss": family.loss_config,
        "train": TrainConfig,
        "output": OutputConfig,
        "distil": DistillationConfig,
    }
    return {table: [entry.name for entry in fields(kind)] for table, kind in kinds.items()}


def _merge(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`merge`, but a length in steps replaces one in epochs, which would take precedence."""
    merged = merge(tables, changes)
    given = changes.get("train")
    if isinstance(given, Mapping) and "steps" in given and "epochs" not in given:
        merged["train"] = {k: v for k, v in merged["train"].items() if k != "epochs"}
    return merged
