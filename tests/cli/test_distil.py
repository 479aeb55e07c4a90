"""`stargan-deploy distil`, from a teacher to a student that other commands take."""

import json

import pytest

from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.files.atomic import file_sha256
from tests.conftest import make_checkpoint

SHORT = (
    *("--width", "4", "--device", "cpu", "--set", "train.steps=2", "--set", "train.batch_size=2"),
    *("--set", "output.evaluate_every=0", "--set", "output.num_samples=1"),
)


@pytest.fixture
def data(tmp_path):
    write_celeba(tmp_path / "celeba", 12, size=32)
    return tmp_path / "celeba"


def test_a_student_is_trained_exported_and_described(command, checkpoint, data, tmp_path):
    done = command("distil", checkpoint, "--data", data, *SHORT, "--out", "student", "--json")
    assert done.code == 0, done.err
    assert f"teacher: {checkpoint}" in done.err
    model = tmp_path / "student" / "model.safetensors"
    facts = json.loads(command("info", model, "--json").out)
    theirs = json.loads(command("info", checkpoint, "--json").out)
    known = {name: theirs[name] for name in ("macs", "parameters")}
    assert facts["teacher"] == {"sha256": file_sha256(checkpoint)} | known
    assert theirs["teacher"] is None
    assert 0 < facts["macs"] < theirs["macs"]
    assert 0 < facts["parameters"] < theirs["parameters"]
    lines = command("info", model).out.splitlines()
    (size,) = [line for line in lines if line.startswith("size")]
    assert "GMAC at 32x32; its teacher has" in size
    assert f"teacher      {file_sha256(checkpoint)}" in lines
    assert command("export", model, "--out", "student.onnx").code == 0
    assert json.loads(command("info", "student.onnx", "--json").out)["teacher"] == facts["teacher"]


def test_a_distillation_is_resumed_by_train(command, checkpoint, data):
    words = ("distil", checkpoint, "--data", data, *SHORT, "--out", "student")
    assert command(*words).code == 0
    again = command("train", "--resume", "--out", "student", "--set", "train.steps=3", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["step"] == 3


def test_a_dry_run_writes_nothing(command, checkpoint, data, tmp_path):
    done = command("distil", checkpoint, "--data", data, *SHORT, "--dry-run", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert plan["recipe"]["model"]["generator_conv_dim"] == 4
    assert plan["recipe"]["distil"]["sha256"] == file_sha256(checkpoint)
    assert not (tmp_path / "runs").exists()


def refused(result, code):
    """The one line of a refusal."""
    assert result.code == code, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("stargan-deploy: ")]
    assert len(lines) == 1, result.err
    return lines[0]


def test_bad_input_is_one_line(command, checkpoint, data, tmp_path):
    line = refused(command("distil", checkpoint, "--data", data, "--width", "16"), 2)
    assert "larger than its teacher" in line
    assert "--width" in line
    line = refused(command("distil", "nowhere.safetensors", "--data", data), 4)
    assert "no such checkpoint" in line
    line = refused(command("distil", checkpoint, "--width", "4"), 2)
    assert "does not say where the images are" in line
    assert "--data" in line
    (tmp_path / "G.ckpt").write_bytes(b"no checkpoint")
    refused(command("distil", "G.ckpt", "--data", data), 4)
    words = ("distil", checkpoint, "--data", data, *SHORT, "--attrs", "Male,Young")
    assert "--attrs" in refused(command(*words), 3)


def test_a_teacher_without_discriminator_says_what_is_lost(command, data, tmp_path):
    alone = make_checkpoint(tmp_path / "alone.safetensors", discriminator=False)
    done = command("distil", alone, "--data", data, *SHORT, "--out", "student")
    assert done.code == 0, done.err
    assert "holds no discriminator: the student learns from its images and features" in done.err
