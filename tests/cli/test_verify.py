import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stargan_deploy.backends.onnx.file import attach_card
from stargan_deploy.backends.registry import read_card_of
from tests.conftest import make_checkpoint


@pytest.fixture
def unproven(command, artefact, tmp_path):
    """An artefact in ./exports whose card says that it could not be run."""
    shutil.copytree(artefact.parent, tmp_path / "exports")
    path = tmp_path / "exports" / artefact.name
    card = replace(read_card_of(path), verdicts=(), unverified="no GPU there")
    for file in path.parent.glob("*.onnx"):
        attach_card(file, card)
    return path


def test_a_verdict_is_added_and_told(command, unproven, checkpoint, tmp_path):
    result = command("verify", unproven, "--checkpoint", checkpoint, "--device", "cpu")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("proven equal to PyTorch: translate on onnx (cpu): max difference")
    assert lines[1].startswith("proven equal to PyTorch: classify on onnx (cpu)")
    assert read_card_of(unproven).unverified is None


def test_the_checkpoint_is_found_in_runs(command, unproven, checkpoint, tmp_path):
    folder = tmp_path / "runs" / "faces" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "broken.safetensors").write_bytes(b"half")
    shutil.copy(checkpoint, folder / "step-000100.safetensors")
    result = command("verify", unproven, "--json")
    assert result.code == 0, result.err
    assert "step-000100.safetensors" in result.err
    assert {v["entry_point"] for v in json.loads(result.out)["verdicts"]} == {
        "translate",
        "classify",
    }


@pytest.mark.parametrize(
    "place", [pytest.param(".", marks=pytest.mark.slow), "exports", "runs/faces"]
)
def test_the_checkpoint_is_found_where_people_keep_it(command, unproven, checkpoint, place):
    (folder := Path(place)).mkdir(parents=True, exist_ok=True)
    (Path("runs/faces/checkpoints")).mkdir(parents=True, exist_ok=True)
    shutil.copy(checkpoint, folder / "model.safetensors")
    result = command("verify", unproven, "--device", "cpu")
    assert result.code == 0, result.err
    if place != ".":
        return
    bench = command("bench", "--model", unproven, "--budget", "0.1", "--backends", "eager,trt")
    assert "the checkpoint that this artefact was made from" not in bench.err


def test_a_run_may_be_named_and_a_wrong_checkpoint_is_called_wrong(
    command, unproven, checkpoint, tmp_path
):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    shutil.copy(checkpoint, tmp_path / "run" / "checkpoints" / "step-1.safetensors")
    assert command("verify", unproven, "--checkpoint", "run", "--device", "cpu").code == 0
    make_checkpoint(tmp_path / "wrong.safetensors", discriminator=False)
    for words in (("verify", unproven), ("bench", "--model", unproven)):
        result = command(*words, "--checkpoint", "wrong.safetensors")
        assert result.code == 4
        assert "tiny.onnx was not made from wrong.safetensors, but from a checkpoint" in result.err
        assert "name that one, or leave out --checkpoint to look for it" in result.err
    result = command("bench", "--model", checkpoint, "--checkpoint", checkpoint)
    assert result.code == 2


def test_an_artefact_that_differs_gives_exit_code_6(command, unproven, checkpoint, tmp_path):
    from stargan_deploy.families.checkpoint import load_checkpoint, save_checkpoint
    from stargan_deploy.files.atomic import file_sha256

    content = load_checkpoint(checkpoint)
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, content.card, {k: v * 1.1 for k, v in content.tensors.items()})
    card = replace(read_card_of(unproven), parents={"checkpoint": file_sha256(other)})
    attach_card(unproven, card)
    result = command("verify", unproven, "--checkpoint", other, "--report", "report")
    assert result.code == 6
    assert "out of tolerance: translate on onnx" in result.out
    assert "does not equal PyTorch" in result.err.splitlines()[-1]
    assert (tmp_path / "report" / "worst-translate-onnx-cpu.png").is_file()


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("exports/tiny.onnx",), 4, "name it with --checkpoint"),
        (("exports/tiny.onnx", "--checkpoint", "gone"), 4, "no such checkpoint: gone"),
        (("exports/gone.onnx",), 4, "no such artefact"),
        (("exports",), 4, "is a folder"),
        (("broken.onnx",), 4, "is not a whole ONNX file"),
        (("photo.jpg",), 4, "neither a checkpoint nor an artefact"),
    ],
)
def test_bad_input_is_one_clear_line(command, unproven, tmp_path, words, code, complaint):
    (tmp_path / "broken.onnx").write_bytes(b"half")
    (tmp_path / "photo.jpg").touch()
    result = command("verify", *words)
    assert result.code == code
    assert complaint in result.err.splitlines()[-1]
