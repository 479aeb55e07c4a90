"""Imports go one way, and the workbench folders hold no Python."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from stargan_deploy.backends.registry import SPECS
from stargan_deploy.families.registry import FAMILIES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "stargan_deploy"

ROOMS = (
    "version",
    "errors",
    "config",
    "progress",
    "disturbance",
    "devices",
    "typed",
    "distributed",
    "isolated",
    "stop_signals",
    "card",
    "files",
    "presentation",
    "families",
    "data",
    "training",
    "backends",
    "export",
    "faces",
    "inference",
    "batch",
    "evaluation",
    "serving",
    "benchmarking",
    "api",
    "cli",
)
"""A module imports only from its own room and from those before it."""

MAX_MODULES = 12
"""Modules of its own that a package may hold, sub-packages apart."""

FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "stargan_deploy"


def imported(path: Path, *, at_module_level: bool = False) -> set[str]:
    """Modules of the package that a module imports, in functions and for type checkers too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if at_module_level else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {module for module in found if module.startswith("stargan_deploy")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = room_of(module_of(path))
    if own == "stargan_deploy":  # the package itself, and `python -m stargan_deploy`
        return
    allowed = {"stargan_deploy", *ROOMS[: ROOMS.index(own) + 1]}
    assert not [module for module in imported(path) if room_of(module) not in allowed]


def test_the_rooms_are_those_of_the_package():
    places = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert places | modules == set(ROOMS)


def test_no_imports_in_a_circle():
    """However lazily: a circle that is hidden in a function is one."""
    imports = {name: imported(path) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for other in imports.get(module, ()):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(imports):
        visit(module, ())


@pytest.mark.parametrize("room", ["batch", "benchmarking", "evaluation", "export", "inference"])
def test_nothing_outside_a_backend_sees_its_inside(room):
    doors = {"base", "artefact", "exporter", "registry", "spec", "fake"}
    doors |= {"difference", "pixel_graph", "products", "doctor"}
    for path in (PACKAGE / room).rglob("*.py"):
        for module in imported(path):
            if room_of(module) == "backends":
                assert module.split(".")[2] in doors, (path, module)


@pytest.mark.parametrize(
    "room", ["card", "files", "export", "inference", "batch", "evaluation", "benchmarking"]
)
def test_nothing_outside_a_backend_asks_which_it_is(room):
    for path in (PACKAGE / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not words & set(SPECS), path


OF_STARGAN = {"untrained.py", "training.py"}
"""The model measured by default, and the table of baselines with that of the official code."""


ORDINARY_WORDS = {"classifier"}
"""Families whose name is also what files and settings call a part of any model."""


@pytest.mark.parametrize(
    "room",
    [
        *("training", "backends", "export", "faces", "inference"),
        *("batch", "evaluation", "benchmarking", "cli"),
    ],
)
def test_nothing_outside_a_family_asks_which_it_is(room):
    for path in (PACKAGE / room).rglob("*.py"):
        if path.name not in OF_STARGAN:
            _refuse_families(path)


def _refuse_families(path):
    packages = {target.rpartition(".")[0] for target in FAMILIES.values()}
    assert not [m for m in imported(path) if m.startswith(tuple(f"{own}." for own in packages))]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not words & (set(FAMILIES) - ORDINARY_WORDS), path


@pytest.mark.parametrize("folder", ["train", "export", "benchmarks"])
def test_workbenches_hold_no_python(folder):
    assert not list((ROOT / folder).rglob("*.py"))


def test_no_package_is_wide():
    modules = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert not {str(place): num for place, num in modules.items() if num > MAX_MODULES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_house_limits(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
