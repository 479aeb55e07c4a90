"""Measures the speed of training in several setups, interleaved in one run, against a baseline.

All setups train on the same data with networks of the same shape. They take turns in rounds, so
that a drift of the machine's speed affects all alike; a round is a whole number of generator steps.
The first setup is what the others are compared with: the family's baseline, if it has one.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stargan_deploy.benchmarking.baselines.training import BASELINES
from stargan_deploy.benchmarking.measure.rounds import Speed, median_ratio, take_rounds
from stargan_deploy.benchmarking.results import BASELINE, TrainingRow, Unusable
from stargan_deploy.config import merge, refuse_below
from stargan_deploy.devices import Device, choose_device
from stargan_deploy.errors import ConfigError, StarganDeployError
from stargan_deploy.training.recipe import Recipe, resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class TrainingSpeedConfig:
    """Settings of the training benchmark."""

    recipe: dict[str, Any]
    """The training that all setups do, as a recipe's tables."""
    sides: dict[str, dict[str, Any]]
    """Changes to the recipe's `train` table, by the name of the setup."""
    num_rounds: int = 8
    """Rounds, in each of which every setup trains once."""
    steps_a_round: int = 10
    """Steps per setup and round."""
    num_warmup_steps: int = 10
    """Steps of each setup before the first round."""

    def __post_init__(self) -> None:
        refuse_below(1, vars(self))
        if not self.sides:
            raise ValueError("sides names nothing to measure")


def measure_training(config: TrainingSpeedConfig) -> Speed[TrainingRow]:
    """Measures all setups.

    Raises:
        ConfigError: the recipe does not fit.
    """
    recipe = resolve_recipe(config.recipe)
    device = choose_device(recipe.train.device or None)
    steps, unusable = _warm_steps(config, recipe, device)
    turns = {
        name: partial(_seconds, step, config.steps_a_round, device) for name, step in steps.items()
    }
    seconds = take_rounds(turns, config.num_rounds)
    reference = next(iter(seconds.values()), [])
    rows = [_row(name, own, reference, config, device) for name, own in seconds.items()]
    return Speed(rows=tuple(rows), unusable=tuple(unusable))


def _warm_steps(
    config: TrainingSpeedConfig, recipe: Recipe, device: Device
) -> tuple[dict[str, Step], list[Unusable]]:
    """The setups that can train here, each after its first steps, and the others."""
    steps: dict[str, Step] = {}
    if make_baseline := BASELINES.get(recipe.family):
        steps[BASELINE] = make_baseline(recipe)
        _seconds(steps[BASELINE], config.num_warmup_steps, device)
    unusable = []
    for name, changes in config.sides.items():
        try:
            step = _our_step(config, changes)
            _seconds(step, config.num_warmup_steps, device)
        except StarganDeployError as error:
            unusable.append(Unusable(name=f"training {name}", reason=str(error)))
        else:
            steps[name] = step
    return steps, unusable


def _row(
    name: str,
    own: Sequence[float],
    reference: Sequence[float],
    config: TrainingSpeedConfig,
    device: Device,
) -> TrainingRow:
    """A row from the seconds of every round, the setup's own and the first setup's."""
    recipe = _changed_recipe(config, config.sides.get(name, {}))
    is_baseline = name == BASELINE
    steps_per_s = config.steps_a_round / statistics.median(own)
    return TrainingRow(
        name=name,
        device=str(device),
        precision="fp32" if is_baseline else recipe.train.precision,
        compile=not is_baseline and recipe.train.compile,
        batch_size=recipe.train.batch_size,
        image_size=recipe.data.image_size,
        steps_per_s=steps_per_s,
        images_per_s=steps_per_s * recipe.train.batch_size,
        speedup=median_ratio(reference, own),
        samples_ms=tuple(s / config.steps_a_round * 1e3 for s in own),
    )


def _seconds(step: Step, number: int, device: Device) -> float:
    device.synchronize()
    start = time.perf_counter()
    for _ in range(number):
        step()
    device.synchronize()
    return time.perf_counter() - start


def _changed_recipe(config: TrainingSpeedConfig, changes: Mapping[str, Any]) -> Recipe:
    return resolve_recipe(merge(config.recipe, {"train": changes}))


def _our_step(config: TrainingSpeedConfig, changes: Mapping[str, Any]) -> Step:
    recipe = _changed_recipe(config, changes)
    trainer = create_trainer(recipe, Run(Path("unused")))  # steps() writes nothing
    needed = config.num_warmup_steps + config.num_rounds * config.steps_a_round
    if trainer.num_steps < needed:
        raise ConfigError(
            f"the training ends after {trainer.num_steps} steps, and {needed} are measured",
            hint="increase `train.steps` or `train.epochs`",
        )
    steps: Iterator[int] = trainer.steps()
    return lambda: next(steps)
