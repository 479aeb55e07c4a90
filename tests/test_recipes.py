"""Every recipe at the root loads, and the smoke recipe runs."""

import json
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


def test_recipes_are_listed_with_data_size_network_and_time(command):
    result = command("train", "--list", "--json")
    assert result.code == 0, result.err
    lines = {line["name"]: line for line in json.loads(result.out)}
    assert list(lines) == [path.stem for path in RECIPES]
    assert all(line["time"] and line["data"] and line["parameters"] > 0 for line in lines.values())
    assert lines["joint64"]["data"] == "CelebA's layout + a folder of images per domain"
    assert (lines["celeba128"]["size"], lines["celeba128"]["steps"]) == (128, "200,000 steps")
    assert "faces64" in command("train", "--list").out


def test_a_recipe_goes_by_its_name_from_any_folder(command, tmp_path):
    result = command("train", "smoke", "--out", "run")
    assert result.code == 0, result.err
    assert 'name = "smoke"' in (tmp_path / "run" / "recipe.toml").read_text()
    assert "about" not in (tmp_path / "run" / "recipe.toml").read_text()
    assert "report: run/report.html" in result.err.splitlines()
    assert "training: step 1 of 12 done; losses every 2 steps, checkpoints every 4" in result.err
    (tmp_path / "smoke").mkdir()
    assert command("train", "smoke", "--dry-run").code == 0
    for name, complaint in (
        ("smokey", "unknown recipe 'smokey'; did you mean 'smoke'?"),
        ("train/smoke.toml", "cannot read recipe train/smoke.toml; name the package's own: smoke"),
    ):
        result = command("train", name)
        assert (result.code, complaint in result.err.splitlines()[-1]) == (2, True)


def test_the_smoke_recipe_makes_several_checkpoints(command, tmp_path):
    result = command("train", ROOT / "train" / "smoke.toml", "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors"))) == 3
