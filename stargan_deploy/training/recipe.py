"""Recipes: the whole of a training's settings, and the presets that recipes start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from stargan_deploy.config import (
    from_mapping,
    merge,
    parse_overrides,
    read_toml,
    to_mapping,
)
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import place_roots
from stargan_deploy.errors import ConfigError, unknown_name
from stargan_deploy.families.objectives.base import SizedModel, load_objective_module
from stargan_deploy.families.objectives.precision import PrecisionName
from stargan_deploy.families.presets import PRESETS

ScheduleName = Literal["paper", "official", "constant"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, how fast and on what to train."""

    steps: int = 200_000
    """Length in steps of the discriminator, one batch each."""
    epochs: float | None = None
    """Length in passes over the data, of two domains over the larger one; replaces `steps` where
    given."""
    batch_size: int = 16
    """Images a step."""
    generator_lr: float = 1e-4
    """Adam's learning rate for the generator."""
    discriminator_lr: float = 1e-4
    """Adam's learning rate for the discriminator."""
    beta1: float = 0.5
    """Adam's decay of the first moment."""
    beta2: float = 0.999
    """Adam's decay of the second moment."""
    critic_steps: int = 5
    """Steps of the discriminator for each step of the generator."""
    schedule: ScheduleName = "paper"
    """Learning rates: "paper" falls linearly to zero over the second half; "official" does what
    the official code's last version does, lr / 100,000 less once every 1,000 steps, which is
    hardly a decay; "constant" stays."""
    ema_decay: float = 0.999
    """Decay a generator step of the moving average of its weights; 0 keeps no average."""
    precision: PrecisionName = "fp32"
    """Format that the networks compute in: fp32, bf16, or fp16 with scaled losses. Weights,
    losses and the gradient penalty stay in fp32."""
    compile: bool = False
    """Whether torch.compile builds the losses, the penalty included; pays on a GPU."""
    channels_last: bool | None = None
    """Whether tensors are laid out N H W C in memory; absent means where it pays: on a GPU."""
    device: str = ""
    """cpu, cuda, cuda:N or mps; empty takes a usable GPU, else the CPU."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "critic_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.epochs is not None and self.epochs <= 0:
            raise ValueError(f"epochs must be positive, not {self.epochs}")
        for name in ("generator_lr", "discriminator_lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """What a run leaves behind, and how often."""

    log_every: int = 10
    """Steps between two lines of metrics."""
    sample_every: int = 1000
    """Steps between two sample grids."""
    evaluate_every: int = 1000
    """Steps between two evaluations of translated held-out images; 0 makes none."""
    num_evaluated: int = 64
    """Held-out images that an evaluation translates."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints; the last step always makes one."""
    keep_checkpoints: int = 3
    """Number of newest checkpoints kept; 0 keeps all."""
    keep_best: bool = True
    """Whether the checkpoint with the best evaluation so far is kept as `best.safetensors`."""
    model_precision: Literal["fp32", "fp16"] = "fp32"
    """How the finished model's weights are kept in `model.safetensors`: half the bytes in fp16."""
    num_samples: int = 8
    """Rows of a sample grid."""

    def __post_init__(self) -> None:
        positive = ("log_every", "sample_every", "checkpoint_every", "num_samples", "num_evaluated")
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("keep_checkpoints", "evaluate_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a training."""

    name: str = "run"
    """Start of the run folder's name."""
    family: str = "stargan"
    """Which networks and losses; the others start from the preset of their name."""
    seed: int = 0
    """Decides weights, order of the data, mirroring and every draw."""
    intended_use: str = ""
    """What the model is for, in the words of its maker; stands in the card."""
    data: DataConfig = field(default_factory=DataConfig)
    model: Any = field(default_factory=dict)
    """The family's `ModelConfig`."""
    loss: Any = field(default_factory=dict)
    """The family's `LossConfig`."""
    train: TrainConfig = field(default_factory=TrainConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed cannot be negative: {self.seed}")


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
    "output",
)
"""Settings, or whole tables of them, that may differ between a run and its continuation."""


def resolve_recipe(mapping: Mapping[str, Any]) -> Recipe:
    """Builds a recipe from tables that change a preset.

    It is the one that they name, else that of their family's name, if there is one.

    Raises:
        ConfigError: an unknown preset, family or key, or a value that does not fit.
    """
    tables = dict(mapping)
    tables = _merge(_preset(tables.pop("preset", None), tables.get("family")), tables)
    recipe = from_mapping(Recipe, tables)
    module = load_objective_module(recipe.family)
    model = from_mapping(module.ModelConfig, recipe.model, path="model")
    if isinstance(model, SizedModel):
        model = model.for_size(recipe.data.image_size)
    return replace(
        recipe,
        model=model,
        loss=from_mapping(module.LossConfig, recipe.loss, path="loss"),
    )


def read_recipe(
    path: Path | None,
    changes: Mapping[str, Any],
    assignments: Sequence[str],
    *,
    roots: Sequence[str] = (),
) -> Recipe:
    """A recipe from a file, or the preset "demo", with what the command line changes.

    The preset's choice of drawn faces does not hold for data of the user's own. For the arguments
    see `change_tables`.

    Raises:
        ConfigError: anything in them does not fit.
    """
    tables: dict[str, Any] = read_toml(path) if path else {"preset": "demo"}
    if path is None and roots:
        tables["data"] = {"kind": "auto", "attributes": []}
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
    """A recipe's tables with what the command line changes.

    Args:
        tables: the recipe.
        changes: the settings that flags stand for.
        assignments: `section.key=value` words; they go before flags.
        roots: folders of the data sets, in the recipe's order.

    Raises:
        ConfigError: anything in them does not fit.
    """
    changed = _merge(_merge(tables, changes), parse_overrides(assignments))
    data = changed.get("data", {})
    places = place_roots(data, roots) if isinstance(data, Mapping) else {}
    return merge(changed, {"data": places} if places else {})


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Settings, as `key: old -> new`, that a continuation may not change."""
    old_flat, new_flat = _flatten(to_mapping(old)), _flatten(to_mapping(new))
    changed = [key for key in old_flat | new_flat if old_flat.get(key) != new_flat.get(key)]
    fixed = [key for key in changed if not _is_free(key)]
    return [f"{key}: {old_flat.get(key)} -> {new_flat.get(key)}" for key in fixed]


def num_steps(train: TrainConfig, num_rows: int) -> int:
    """Length of a training in steps, where a pass over the data takes so many rows of batches."""
    if train.epochs is None:
        return train.steps
    return max(1, round(train.epochs * num_rows / train.batch_size))


def _preset(name: Any, family: Any) -> Mapping[str, Any]:
    """The tables of a preset by name; where none is named that of the family, or nothing."""
    if name is None:
        return PRESETS.get(family, {}) if isinstance(family, str) else {}
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(unknown_name("preset", str(name), PRESETS))
    return PRESETS[name]


def _merge(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`merge`, where a length in steps takes the place of one in epochs, which would go before."""
    merged = merge(tables, changes)
    given = changes.get("train")
    if isinstance(given, Mapping) and "steps" in given and "epochs" not in given:
        merged["train"] = {k: v for k, v in merged["train"].items() if k != "epochs"}
    return merged


def _flatten(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        full = f"{path}{key}"
        flat |= _flatten(value, f"{full}.") if isinstance(value, Mapping) else {full: value}
    return flat


def _is_free(key: str) -> bool:
    return any(fnmatch(key, free) or key.startswith(f"{free}.") for free in FREE_ON_RESUME)
