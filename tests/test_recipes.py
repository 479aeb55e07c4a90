"""Every recipe at the root loads, and the smoke recipe runs."""

from pathlib import Path

import pytest

from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.benchmarking.suite.training_speed import TrainingSpeedConfig
from stargan_deploy.config import from_mapping, merge, read_toml
from stargan_deploy.training.recipe import read_recipe, resolve_recipe

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "train").glob("*.toml"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_resolves(path):
    tables = read_toml(path)
    assert "preset" in tables
    sets = tables.get("data", {}).get("sets", ["only one"])
    recipe = read_recipe(path, {}, [], roots=["somewhere"] * len(sets))
    assert recipe.name == path.stem
    if recipe.family == "stargan":
        assert recipe.data.image_size % 2**recipe.model.discriminator_layers == 0


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_fits(path):
    suite = from_mapping(SuiteConfig, read_toml(path))
    if suite.training:
        training = from_mapping(TrainingSpeedConfig, suite.training)
        for changes in training.sides.values():
            resolve_recipe(merge(training.recipe, {"train": changes}))


def test_the_smoke_recipe_makes_several_checkpoints(command, tmp_path):
    result = command("train", ROOT / "train" / "smoke.toml", "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors"))) == 3
