"""Reads a run folder, whatever state its files are in."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_deploy.config import read_toml
from stargan_deploy.errors import ConfigError
from stargan_deploy.training.metrics import Curve, read_metrics

Table = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Content of a run folder; missing or unreadable parts are empty."""

    folder: Path
    recipe: Table
    surroundings: Table
    curves: Mapping[str, Curve]

    @property
    def step(self) -> float:
        """The last step of any metric."""
        return max((float(curve.steps[-1]) for curve in self.curves.values()), default=0.0)

    @property
    def num_steps(self) -> float:
        """Length of the whole training, or NaN if unknown."""
        train = table_of(self.recipe, "train")
        planned = self.surroundings.get("num_steps")
        if planned is None and "epochs" not in train:
            planned = train.get("steps")
        return float(planned) if isinstance(planned, int) and 0 < planned < 1e15 else math.nan

    @property
    def is_finished(self) -> bool:
        """Whether the training finished."""
        return (self.folder / "model.safetensors").exists() and not self.step < self.num_steps

    def latest(self, name: str) -> float:
        """The last value of a metric, or NaN."""
        return self.curves[name].latest if name in self.curves else math.nan


def read_run(folder: Path) -> RunRecord:
    """Read settings, surroundings and metrics of a run folder."""
    try:
        recipe = read_toml(folder / "recipe.toml")
    except ConfigError:
        recipe = {}
    try:
        surroundings = json.loads((folder / "environment.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        surroundings = {}
    return RunRecord(
        folder=folder,
        recipe=recipe,
        surroundings=surroundings if isinstance(surroundings, dict) else {},
        curves=read_metrics(folder / "metrics.jsonl"),
    )


def table_of(mapping: Table, key: str) -> Table:
    """An inner table; empty if missing."""
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}
