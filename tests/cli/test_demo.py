import json

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.backends.registry import is_proven, read_card_of
from stargan_deploy.data.layouts.synthetic import ATTRIBUTES
from stargan_deploy.inference import find


@pytest.fixture(autouse=True)
def demo_model(demo_checkpoint, monkeypatch):
    monkeypatch.setattr(find, "DEMO_MODEL", demo_checkpoint)


def test_it_does_the_main_job_from_nothing(command, tmp_path):
    result = command("demo", "--count", 3)
    assert result.code == 0
    assert "grid:     demo/grid.png" in result.out
    assert "gallery:  demo/gallery.html" in result.out
    assert "export" in result.out.splitlines()[-1]
    assert "translate equals PyTorch" in result.err
    assert is_proven(read_card_of(tmp_path / "demo/demo.onnx"), "onnx")
    assert len(list((tmp_path / "demo/faces/images").iterdir())) == 3
    assert len(list((tmp_path / "demo/translated").glob("*/000001.png"))) == len(ATTRIBUTES)
    with Image.open(tmp_path / "demo/grid.png") as grid:
        assert grid.width > 8 * 128
        assert grid.height > 3 * 128
    page = (tmp_path / "demo/gallery.html").read_text(encoding="utf-8")
    assert page.count("<section") == 3
    assert all(f">{word}</figcaption>" in page for word in ("Blond_Hair", "flip:Eyeglasses"))


@pytest.mark.slow
def test_again_with_fewer_faces_and_another_seed(command, tmp_path):
    faces = tmp_path / "here/faces/images/000001.png"
    assert command("demo", "--out", "here", "--count", 2, "--quiet").code == 0
    before = np.asarray(Image.open(faces))
    result = command("demo", "--out", "here", "--count", 1, "--seed", 5, "--json", "--quiet")
    assert result.code == 0
    assert not np.array_equal(np.asarray(Image.open(faces)), before)
    report = json.loads(result.out)
    assert report["gallery"] == "here/gallery.html"
    assert list(report["seconds"]) == ["draw", "export", "translate", "gallery"]
    assert (tmp_path / "here/gallery.html").read_text().count("<section") == 1


def test_bad_input_is_refused(command, tmp_path):
    (tmp_path / "file").touch()
    result = command("demo", "--out", "file")
    assert result.code == 9
    assert "cannot write file" in result.err
    assert command("demo", "--count", 0).code == 2
