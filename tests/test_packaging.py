"""A built wheel holds all that the commands need, and works in an empty folder."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from stargan_deploy.backends.registry import SPECS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip_wheel = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([sys.executable, *pip_wheel, "-w", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder with the wheel installed, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", folder)
    subprocess.run([sys.executable, *install, wheel], check=True)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stargan_deploy"}
    assert "stargan_deploy/assets/demo.safetensors" in names
    assert "stargan_deploy/py.typed" in names
    recipes = {name for name in names if name.startswith("stargan_deploy/recipes/")}
    assert recipes == {
        f"stargan_deploy/recipes/{path.name}" for path in (ROOT / "train").glob("*.toml")
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    code = [
        entry for entry in zipfile.ZipFile(wheel).infolist() if "/assets/" not in entry.filename
    ]
    assert sum(entry.compress_size for entry in code) < 1_000_000


def test_the_demo_model_is_small_and_knows_where_it_comes_from():
    from stargan_deploy.families.checkpoint import load_checkpoint
    from stargan_deploy.inference.find import DEMO_MODEL

    card = load_checkpoint(DEMO_MODEL).card
    assert DEMO_MODEL.stat().st_size < 2_000_000
    assert card.training_data == "synthetic faces"
    assert card.preprocessing.image_size == 64
    assert set(card.entry_points) == {"translate", "classify"}


def test_an_installed_wheel_runs_the_demo_in_an_empty_folder(site, tmp_path):
    surroundings = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, site / "bin" / "stargan-deploy", "demo", "--count", "2"],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "grid.png").is_file()
    where = subprocess.run(
        [sys.executable, "-c", "import stargan_deploy; print(stargan_deploy.__file__)"],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

TEST_TOOLS = {
    "hatchling",
    "httpx",
    "hypothesis",
    "mypy",
    "pre-commit",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "tritonclient[grpc]",
    "types-psutil",
}


def requirements(extra):
    """Packages of an extra with their own extras, those of extras that it refers to included."""
    found = set()
    for line in EXTRAS[extra]:
        name = re.match(r"[\w-]+(\[[\w,-]+\])?", line)[0]
        own = re.fullmatch(r"stargan-deploy\[(.+)\]", name)
        found |= set().union(*map(requirements, own[1].split(","))) if own else {name}
    return found


def test_an_installed_wheel_trains_by_a_recipes_name_from_any_folder(site, tmp_path):
    done = subprocess.run(
        [sys.executable, site / "bin" / "stargan-deploy", "train", "smoke", "--dry-run"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "12 steps of 4 images" in done.stderr


def test_dependencies_and_extras_are_the_promised_ones():
    base = " ".join(PROJECT["dependencies"])
    for name in ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime-gpu", "onnxruntime"):
        assert name in base
    assert {"tensorrt", "tensorrt-rtx", "openvino", "tensorboard", "all", "dev"} <= set(EXTRAS)
    assert PROJECT["license"] == "MIT"


def test_all_is_every_extra_but_the_one_of_another_index():
    single = set(EXTRAS) - {"all", "dev", "tensorrt"}
    assert requirements("all") == {"tritonclient[http]"}.union(*map(requirements, single))


def test_dev_is_all_and_the_test_tools():
    assert requirements("dev") == requirements("all") | TEST_TOOLS


def test_extras_of_backends_exist():
    named = {spec.extra for spec in SPECS.values()} - {""}
    assert named <= set(EXTRAS)
