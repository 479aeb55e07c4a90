"""Files of 0.1.0, which all later versions go on reading; through public doors alone."""

import gzip
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stargan_deploy

FILES = Path(__file__).parent / "fixtures" / "v0_1_0"

ATTRIBUTES = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]

TARGETS = ("Blond_Hair", "not-Young+Male")
"""Folders of the batch."""

LEVELS = 2
"""By which pictures may differ that another machine made."""

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs the extra [openvino]"
)

RUNNABLE = [
    "tiny.safetensors",
    "artefacts/tiny.onnx",
    pytest.param("artefacts/tiny.xml", marks=needs_openvino),
]


@pytest.fixture
def files(tmp_path):
    """A copy that a test may change, in the folder where commands run."""
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    packed = tmp_path / "artefacts" / "tiny.classifier.engine.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    return tmp_path


def card_of(command, path):
    result = command("info", path, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)["card"]


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("run", 2),
        ("run/checkpoints/step-0000002.safetensors", 2),
        ("tiny.safetensors", 4),
        ("artefacts/tiny.onnx", 4),
        ("artefacts/tiny.classifier.onnx", 4),
        ("artefacts/tiny.xml", 4),
        ("artefacts/tiny.classifier.xml", 4),
        ("artefacts/tiny.classifier.engine", 4),
    ],
)
def test_cards(command, files, path, step):
    if path.endswith(".xml") and importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the extra [openvino]")
    card = card_of(command, path)
    assert (card["family"], card["step"], card["weights"]) == ("stargan", step, "ema")
    (labels,) = card["labels"]["sets"]
    assert (labels["kind"], labels["names"]) == ("multilabel", ATTRIBUTES)
    assert labels["exclusive_groups"] == [["Black_Hair", "Blond_Hair", "Brown_Hair"]]
    assert set(card["entry_points"]) == {"translate", "classify"}
    assert card["preprocessing"]["image_size"] == 16
    assert card["training_data"] == "synthetic faces"
    assert card["versions"]["stargan-deploy"] == "0.1.0"
    shown = command("info", path)
    assert shown.code == 0, shown.err
    assert ", ".join(ATTRIBUTES) in shown.out


@pytest.mark.parametrize("name", ["tiny.onnx", pytest.param("tiny.xml", marks=needs_openvino)])
def test_verdicts_of_artefacts(command, files, name):
    verdicts = card_of(command, f"artefacts/{name}")["verdicts"]
    assert {verdict["entry_point"] for verdict in verdicts} == {"translate", "classify"}
    assert all(verdict["passed"] for verdict in verdicts)


def test_an_engine_made_without_a_gpu_is_unverified(command, files):
    shown = command("info", "artefacts/tiny.classifier.engine")
    assert "unverified" in shown.out
    assert "tensorrt_rtx 1.7.1.116" in shown.out


def test_the_run_goes_on_to_its_end(command, files):
    result = command("train", "--resume", "--out", "run")
    assert result.code == 0, result.err
    assert "resuming run/checkpoints/step-0000002.safetensors" in result.err
    assert "trained to step 4" in result.out
    lines = map(json.loads, (files / "run/metrics.jsonl").read_text().splitlines())
    losses = [line for line in lines if "d_gp" in line]
    assert [line["step"] for line in losses] == [1, 2, 3, 4]
    before = [json.loads(x) for x in (FILES / "run/metrics.jsonl").read_text().splitlines()]
    assert losses[:2] == [line for line in before if "d_gp" in line][:2]
    assert card_of(command, "run")["step"] == 4
    assert (files / "run/model.safetensors").is_file()


@pytest.mark.parametrize("path", RUNNABLE)
def test_translations(files, path):
    photo = picture_of(files / "photos/a.png")
    model = stargan_deploy.load(files / path)
    for wish, folder in zip(("Blond_Hair", "-Young,Male"), TARGETS, strict=True):
        picture = model.translate(photo, wish)
        assert picture.size == (16, 16)
        assert_close(picture, picture_of(files / "batch" / folder / "a.png"))


def picture_of(path):
    with Image.open(path) as picture:
        return picture.convert("RGB")


def assert_close(picture, expected):
    found, wanted = (np.asarray(image, np.int16) for image in (picture, expected))
    assert np.abs(found - wanted).max() <= LEVELS


def test_the_checkpoint_is_exported(command, files):
    result = command("export", "tiny.safetensors", "--device", "cpu", "--out", "new/tiny.onnx")
    assert result.code == 0, result.err
    photo = picture_of(files / "photos/a.png")
    picture = stargan_deploy.load(files / "new/tiny.onnx").translate(photo, "Blond_Hair")
    assert_close(picture, picture_of(files / "batch/Blond_Hair/a.png"))


def states(folder):
    """What shows whether a picture was written again."""
    found = {path.relative_to(folder): path.stat() for path in folder.glob("*/**/*.*")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in found.items()}


def test_the_batch_goes_on_with_the_photos_that_are_left(command, files):
    def go_on():
        targets = ("--attrs", "Blond_Hair", "--attrs", "-Young,Male")
        model = ("--model", "artefacts/tiny.onnx", "--backend", "onnx", "--device", "cpu")
        words = (*targets, *model, "--batch-size", 2, "--output", "batch", "--resume", "--json")
        result = command("batch", "--input", "photos", *words)
        assert result.code == 0, result.err
        report = json.loads(result.out)
        return report["num_photos"], report["num_done_before"], report["num_pictures"]

    before = states(files / "batch")
    assert len(before) == 4
    assert go_on() == (3, 2, 2)
    second = states(files / "batch")
    assert second.items() > before.items()
    assert len(second) == 6
    shutil.copy(files / "photos/a.png", files / "photos/d.png")
    assert go_on() == (4, 3, 2)
    third = states(files / "batch")
    assert third.items() > second.items()
    assert len(third) == 8
    for folder in TARGETS:
        assert picture_of(files / "batch" / folder / "inner/c.png").size == (16, 16)
        again = picture_of(files / "batch" / folder / "d.png")
        assert_close(again, picture_of(files / "batch" / folder / "a.png"))
