"""Imports go one way, and the workbench folders hold no Python."""

import ast
from pathlib import Path

import pytest

from stargan_deploy.models.family import FAMILIES
from stargan_deploy.training.objective import OBJECTIVES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "stargan_deploy"

BELOW = {
    "vocabulary": set(),
    "models": {"vocabulary"},
    "data": {"vocabulary"},
    "training": {"vocabulary", "models", "data"},
    "runtimes": {"vocabulary", "models", "data"},
    "exporters": {"vocabulary", "models", "data", "runtimes"},
    "translation": {"vocabulary", "models", "data", "runtimes", "exporters"},
    "benchmarking": {
        "vocabulary",
        "models",
        "data",
        "training",
        "runtimes",
        "exporters",
        "translation",
    },
    "cli": {
        "vocabulary",
        "models",
        "data",
        "training",
        "runtimes",
        "exporters",
        "translation",
        "benchmarking",
    },
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else "vocabulary"


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in modules if module.startswith("stargan_deploy")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    if path.name in ("__init__.py", "__main__.py") and path.parent == PACKAGE:
        return
    own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    allowed = BELOW[own] | {own}
    wrong = [module for module in imported(path) if room_of(module) not in allowed]
    assert not wrong


def test_translation_sees_runtimes_only_through_their_doors():
    doors = ("stargan_deploy.runtimes.base", "stargan_deploy.runtimes.choose")
    for path in (PACKAGE / "translation").glob("*.py"):
        for module in imported(path):
            assert room_of(module) != "runtimes" or module.startswith(doors), path


OF_STARGAN = {"untrained.py", "plain_loop.py"}
"""The model measured by default, and the table of plain loops with that of the official code."""


@pytest.mark.parametrize("room", ["exporters", "runtimes", "translation", "benchmarking", "cli"])
def test_no_door_asks_which_family_comes(room):
    for path in (PACKAGE / room).glob("*.py"):
        if path.name not in OF_STARGAN:
            _refuse_families(path)


def test_the_trainer_knows_objectives_only():
    own = {"presets.py", "objective.py", "recipe.py"} | {f"{family}.py" for family in FAMILIES}
    for path in (PACKAGE / "training").glob("*.py"):
        if path.name not in own:
            _refuse_families(path)


def _refuse_families(path):
    modules = {*FAMILIES.values(), *OBJECTIVES.values()}
    assert not [m for m in imported(path) if m.startswith(tuple(f"{own}." for own in modules))]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not words & set(FAMILIES), path


@pytest.mark.parametrize("folder", ["train", "export", "benchmarks"])
def test_workbenches_hold_no_python(folder):
    assert not list((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_house_limits(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
