"""Speed of training at several settings, interleaved in one run, beside a plain loop.

Every side trains on the same data with networks of the same shape. The sides take turns in rounds,
so that a drift of the machine's speed hits all alike; a round is a whole number of generator steps.
The first side is what the others are compared with: the plain loop of the family, if it has one.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from stargan_deploy.benchmarking.baselines import training as plain_loop
from stargan_deploy.benchmarking.results import TrainingRow, Unusable
from stargan_deploy.card.card import library_versions
from stargan_deploy.config import from_mapping, merge
from stargan_deploy.devices import choose_device
from stargan_deploy.errors import ConfigError, StarganDeployError
from stargan_deploy.training.recipe import Recipe, resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class TrainingSpeedConfig:
    """What to measure."""

    recipe: dict[str, Any]
    """The training that all sides do, as a recipe's tables."""
    sides: dict[str, dict[str, Any]]
    """Changes to the recipe's `train` table, by the name of the side."""
    num_rounds: int = 8
    """Rounds, in each of which every side trains once."""
    steps_a_round: int = 10
    """Steps of one side in one round."""
    num_warmup_steps: int = 10
    """Steps of each side before the first round."""

    def __post_init__(self) -> None:
        for name in ("num_rounds", "steps_a_round", "num_warmup_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.sides:
            raise ValueError("sides names nothing to measure")


@dataclass(frozen=True, kw_only=True)
class SideSpeed:
    """The speed of one side."""

    name: str
    steps_per_s: float
    """Of the median round."""
    images_per_s: float
    speedup: float
    """Median over the rounds of the first side's time divided by this side's."""
    precision: str
    compile: bool
    round_seconds: tuple[float, ...] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class TrainingSpeed:
    """The outcome, the plain loop first where there is one."""

    sides: tuple[SideSpeed, ...]
    device: str
    num_threads: int
    batch_size: int
    image_size: int
    steps_a_round: int
    versions: dict[str, str]
    unusable: tuple[Unusable, ...] = ()
    """Sides that cannot train here, with the reason."""


def read_config(tables: Mapping[str, Any]) -> TrainingSpeedConfig:
    """Builds the settings from a recipe file's tables, without its `kind`.

    Raises:
        ConfigError: a setting that does not fit.
    """
    return from_mapping(TrainingSpeedConfig, {k: v for k, v in tables.items() if k != "kind"})


def measure_training(
    config: TrainingSpeedConfig, *, on_round: Callable[[int, int], None] = lambda *_: None
) -> TrainingSpeed:
    """Measures all sides.

    Args:
        config: what to measure.
        on_round: told the rounds done and all rounds.

    Raises:
        ConfigError: the recipe does not fit.
    """
    recipe = resolve_recipe(config.recipe)
    steps, unusable = _warm_steps(config, recipe)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(config.num_rounds):
        for name, step in steps.items():
            seconds[name].append(_seconds(step, config.steps_a_round))
        on_round(number + 1, config.num_rounds)
    return TrainingSpeed(
        sides=tuple(_side(name, seconds, config, recipe) for name in steps),
        device=str(choose_device(recipe.train.device or None)),
        num_threads=torch.get_num_threads(),
        batch_size=recipe.train.batch_size,
        image_size=recipe.data.image_size,
        steps_a_round=config.steps_a_round,
        versions=library_versions("torch"),
        unusable=tuple(unusable),
    )


def training_rows(found: TrainingSpeed) -> tuple[TrainingRow, ...]:
    """The outcome as rows of a benchmark's results."""
    return tuple(
        TrainingRow(
            name=side.name,
            device=found.device,
            precision=side.precision,
            compile=side.compile,
            batch_size=found.batch_size,
            image_size=found.image_size,
            steps_per_s=side.steps_per_s,
            images_per_s=side.images_per_s,
            speedup=side.speedup,
            samples_ms=tuple(s / found.steps_a_round * 1e3 for s in side.round_seconds),
        )
        for side in found.sides
    )


def _warm_steps(
    config: TrainingSpeedConfig, recipe: Recipe
) -> tuple[dict[str, Step], list[Unusable]]:
    """The sides that can train here, each after its first steps, and the others."""
    steps: dict[str, Step] = {}
    if plain_step := plain_loop.PLAIN_LOOPS.get(recipe.family):
        steps[plain_loop.NAME] = plain_step(recipe)
        _seconds(steps[plain_loop.NAME], config.num_warmup_steps)
    unusable = []
    for name, changes in config.sides.items():
        try:
            steps[name] = _our_step(config, changes)
            _seconds(steps[name], config.num_warmup_steps)
        except StarganDeployError as error:
            steps.pop(name, None)
            unusable.append(Unusable(name=f"training {name}", reason=str(error)))
    return steps, unusable


def _side(
    name: str, seconds: Mapping[str, list[float]], config: TrainingSpeedConfig, recipe: Recipe
) -> SideSpeed:
    own = seconds[name]
    settings = resolve_recipe(merge(config.recipe, {"train": config.sides.get(name, {})})).train
    steps_per_s = config.steps_a_round / statistics.median(own)
    first = next(iter(seconds.values()))
    ratios = [reference / ours for reference, ours in zip(first, own, strict=True)]
    return SideSpeed(
        name=name,
        steps_per_s=steps_per_s,
        images_per_s=steps_per_s * recipe.train.batch_size,
        speedup=statistics.median(ratios),
        precision="fp32" if name == plain_loop.NAME else settings.precision,
        compile=name != plain_loop.NAME and settings.compile,
        round_seconds=tuple(own),
    )


def _seconds(step: Step, number: int) -> float:
    _finish()
    start = time.perf_counter()
    for _ in range(number):
        step()
    _finish()
    return time.perf_counter() - start


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _our_step(config: TrainingSpeedConfig, changes: Mapping[str, Any]) -> Step:
    recipe = resolve_recipe(merge(config.recipe, {"train": changes}))
    trainer = create_trainer(recipe, Run(Path("unused")))  # steps() writes nothing
    needed = config.num_warmup_steps + config.num_rounds * config.steps_a_round
    if trainer.num_steps < needed:
        raise ConfigError(
            f"the training ends after {trainer.num_steps} steps, and {needed} are measured; make "
            "train.steps or train.epochs greater"
        )
    steps: Iterator[int] = trainer.steps()
    return lambda: next(steps)
