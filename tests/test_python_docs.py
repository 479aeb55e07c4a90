"""The Python API: what `docs/python.md` shows runs, and importing the package stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.files.images import load_image
from tests.conftest import ATTRIBUTES, make_checkpoint
from tests.tiny_families import lively_model

GUIDE = Path(__file__).parent.parent / "docs" / "python.md"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The files that the guide speaks of."""
    folder = tmp_path_factory.mktemp("guide")
    make_checkpoint(folder / "model.safetensors")
    stargan_deploy.export_model(folder / "model.safetensors", folder / "model.onnx")
    lively_model("cgan", folder / "digits").rename(folder / "digits.safetensors")
    Image.new("RGB", (50, 60), (200, 100, 50)).save(folder / "photo.jpg")
    return folder


def test_the_examples_run_in_their_order(models, monkeypatch):
    monkeypatch.chdir(models)
    monkeypatch.setenv("XDG_CACHE_HOME", str(models / "cache"))
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)
    assert load_image(models / "blond.png").size == (32, 32)
    assert names["large"].size == (96, 96)
    assert len(names["images"]) == 8
    assert set(names["labels"]) == set(ATTRIBUTES)
    assert (models / "runs" / "own" / "model.safetensors").is_file()


def test_importing_the_package_imports_nothing_heavy():
    heavy = "torch, numpy, PIL, onnxruntime, typer, rich"
    code = (
        f"import sys, stargan_deploy; print([m for m in '{heavy}'.split(', ') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported_and_has_a_docstring():
    for name in set(stargan_deploy.__all__) - {"__version__"}:
        assert getattr(stargan_deploy, name).__doc__, name


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'export_modle'"):
        stargan_deploy.export_modle  # noqa: B018


def test_an_artefact_translates_without_torch(models):
    code = (
        "import stargan_deploy, sys; from PIL import Image; "
        "model = stargan_deploy.load('model.onnx', backend='onnx', device='cpu'); "
        "model.translate(Image.open('photo.jpg'), 'Blond_Hair'); "
        "print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=models)
    assert done.stdout.strip() == "False"
