"""What `docs/extending.md` shows works: a family, a backend, a layout and an option."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.backends import registry
from stargan_deploy.data.registry import LAYOUTS
from stargan_deploy.families.registry import FAMILIES
from stargan_deploy.files.images import load_image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

FILE = re.compile(r"# file: (\w+\.py)\n")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def tables():
    """The registries, which forget at the end what a test adds."""
    registries = (registry.SPECS, FAMILIES, LAYOUTS)
    before = [dict(table) for table in registries]
    yield
    for table, entries in zip(registries, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def letters(tmp_path):
    folder = tmp_path / "letters"
    folder.mkdir()
    for name in ("a1.png", "a2.png", "b1.png"):
        Image.new("RGB", (16, 16)).save(folder / name)
    (folder / "INITIALS").touch()
    return folder


def test_a_family_a_backend_and_a_layout_from_outside(tables, letters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {"letters": letters}
    for block in blocks("python"):
        if file := FILE.match(block):
            Path(file[1]).write_text(block, encoding="utf-8")
        else:
            exec(compile(block, "docs/extending.md", "exec"), names)
    assert [image.size for image in names["images"]] == [(16, 16)] * 3
    for image, same in zip(names["images"], names["same_images"], strict=True):
        assert np.abs(np.asarray(image, int) - np.asarray(same)).max() <= 1
    assert names["report"].layout == "initials"


def test_an_option_takes_the_edits_shown(checkpoint, tmp_path):
    shutil.copytree(ROOT / "stargan_deploy", tmp_path / "stargan_deploy")
    for block in blocks("diff"):
        edit(tmp_path, block)
    Image.effect_noise((40, 40), 60).convert("RGB").save(tmp_path / "photo.png")
    common = ("--model", checkpoint, "--attrs", "Male", "--backend", "eager", "--device", "cpu")
    words = ("batch", "--input", "photo.png", *common)
    assert run(tmp_path, *words, "--grey").returncode == 0
    pixels = np.asarray(load_image(tmp_path / "translated" / "photo.png"), int)
    assert np.ptp(pixels, axis=2).max() == 0
    refused = run(tmp_path, *words, "--resume")
    assert refused.returncode == 2
    assert "options.grey" in refused.stderr


def edit(folder, block):
    """Applies one block of a patch; what it shows of the file must be there exactly once."""
    head, *lines = block.splitlines()
    path = folder / head.removeprefix("--- ")
    before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
    after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name} does not read as docs/extending.md shows it"
    path.write_text(text.replace(before, after), encoding="utf-8")


def run(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "stargan_deploy", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_places_named_exist():
    """Paths below the package, and those of the repository."""
    package = ROOT / "stargan_deploy"
    paths = set(re.findall(r"`((?:[\w]+/)+\w+\.py)`", GUIDE)) - {"data/layouts/NAME.py"}
    assert len(paths) > 15
    own = {"backends/program/spec.py"}  # the example's
    missing = {p for p in paths if not (package / p).is_file() and not (ROOT / p).is_file()}
    assert missing <= own
