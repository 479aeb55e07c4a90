"""Exports whose files were renamed, and what a killed export leaves."""

import json
import shutil

import pytest
from filelock import FileLock

import stargan_deploy
from stargan_deploy.errors import ModelError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions, plan_export
from stargan_deploy.export.proof.verify import verify
from tests.photos import noise


@pytest.fixture(scope="module")
def made(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    export(checkpoint, out=folder / "face.onnx")
    return folder


def renamed(made, folder, change):
    folder.mkdir()
    for path in made.iterdir():
        shutil.copy(path, folder / change(path.name))
    return folder


@pytest.mark.parametrize(
    ("change", "main"),
    [
        (lambda name: name.replace("face", "x"), "x.onnx"),
        (lambda name: name.replace("face", "model.v2"), "model.v2.onnx"),
        (lambda name: f"my {name}", "my face.onnx"),
        (lambda name: name.replace("face.", "face-2026."), "face-2026.onnx"),
    ],
)
def test_files_renamed_alike_work(made, checkpoint, tmp_path, change, main):
    folder = renamed(made, tmp_path / "renamed", change)
    with stargan_deploy.load(folder / main) as model:
        assert model.classify(noise()).keys() == set(model.attributes)
    companion = main.replace(".onnx", ".classifier.onnx")
    with stargan_deploy.load(folder / companion) as model:
        model.translate(noise(), "Male")
    assert verify(folder / main, checkpoint=checkpoint).comparisons


def test_renamed_files_of_another_export_are_not_taken(made, tmp_path):
    folder = renamed(made, tmp_path / "renamed", lambda name: name.replace("face", "x"))
    (folder / "x.classifier.onnx").write_bytes((folder / "x.onnx").read_bytes())
    with (
        stargan_deploy.load(folder / "x.onnx") as model,
        pytest.raises(ModelError, match="is not the one that the card in"),
    ):
        model.classify(noise())


def test_the_main_file_alone_names_the_way_out(made, command, tmp_path):
    shutil.copy(made / "face.onnx", tmp_path / "alone.onnx")
    (tmp_path / "photos").mkdir()
    noise().save(tmp_path / "photos" / "1.png")
    words = ("batch", "photos", "--attrs", "Male", "--model", "alone.onnx")
    result = command(*words)
    assert "copy the files of an export together" in result.err
    assert "--source zeros" in result.err
    assert command(*words, "--source", "zeros", "-o", "zeros").code == 0
    with stargan_deploy.load(tmp_path / "alone.onnx") as model:
        with pytest.raises(ModelError, match="`sources` in Python, does without a classifier"):
            model.translate(noise(), "Male")
        model.translate(noise(), "Male", sources={})


@pytest.fixture
def killed(checkpoint, tmp_path):
    """An export of which one side file was moved before it was killed."""
    staging = tmp_path / ".face.abc123.export"
    (staging / "files").mkdir(parents=True)
    (staging / "lock").touch()
    (staging / "moved.json").write_text(json.dumps(["face.bin", "face.xml", "other.txt"]))
    (tmp_path / "face.bin").write_bytes(b"half")
    (tmp_path / "foreign.bin").write_bytes(b"of someone else")
    return staging


def planned(checkpoint, folder):
    options = ExportOptions(format="openvino")
    return plan_export(checkpoint, out=folder / "face.xml", options=options)


def test_leftovers_of_a_killed_export_are_no_obstacle(checkpoint, tmp_path, killed):
    pytest.importorskip("openvino")
    assert planned(checkpoint, tmp_path).existing.replaced == {}
    assert (tmp_path / "face.bin").read_bytes() == b"half"  # a plan writes nothing
    export(checkpoint, out=tmp_path / "face.xml", options=ExportOptions(format="openvino"))
    assert not killed.exists()
    assert (tmp_path / "foreign.bin").is_file()


def test_a_living_export_s_files_and_foreign_ones_are_left(checkpoint, tmp_path, killed):
    pytest.importorskip("openvino")
    with FileLock(killed / "lock"), pytest.raises(UsageError, match=r"face\.bin is there already"):
        planned(checkpoint, tmp_path)
    shutil.rmtree(killed)
    with pytest.raises(UsageError, match=r"face\.bin is there already.*overwrite"):
        planned(checkpoint, tmp_path)
