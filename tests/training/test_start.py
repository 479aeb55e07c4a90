"""How a training begins, as a library decides it; the command line has its own tests."""

import os
import re
from pathlib import Path

import pytest

from stargan_deploy.errors import TrainingError, UsageError
from stargan_deploy.families.checkpoint import newest_run
from stargan_deploy.inference.find import find_model_path
from stargan_deploy.training.start import (
    TrainingRequest,
    open_training,
    plan_start,
    resolve_start,
)

RECIPE = """
preset = "demo"
[data]
num_synthetic = 6
image_size = 32
[model]
generator_conv_dim = 4
generator_blocks = 1
discriminator_conv_dim = 4
discriminator_layers = 3
[train]
steps = 4
batch_size = 2
device = "cpu"
[output]
log_every = 2
sample_every = 4
evaluate_every = 0
checkpoint_every = 2
num_samples = 1
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Trains in a folder, which then is the newest."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(RECIPE)

    def train(name, *, age_s=0.0, assignments=()):
        request = TrainingRequest(
            recipe_path=Path("mine.toml"), out=tmp_path / "runs" / name, assignments=assignments
        )
        open_training(resolve_start(request)).train()
        folder = tmp_path / "runs" / name
        written_at = folder.stat().st_mtime - age_s
        for path in (folder, folder / "checkpoints"):
            os.utime(path, (written_at, written_at))
        return folder

    return train


def test_a_new_run_and_its_continuation(run, tmp_path):
    folder = run("one")
    request = TrainingRequest(resume=True, assignments=["train.steps=6"])
    start = resolve_start(request)
    assert (start.folder.name, start.checkpoint.name) == ("one", "step-0000004.safetensors")
    assert open_training(start).train() == start.folder / "checkpoints" / "step-0000006.safetensors"
    assert (folder / "recipe.toml").read_text().count("steps = 6") == 1


def test_training_and_export_mean_the_same_newest_run(run, tmp_path):
    """They once went by different rules, and a run without a whole checkpoint could be taken."""
    run("old", age_s=100)
    whole = run("whole", age_s=50)
    torn = run("torn")
    for path in torn.glob("checkpoints/*"):
        path.write_bytes(b"torn")
    assert newest_run().name == "whole"
    assert resolve_start(TrainingRequest(resume=True)).folder.name == "whole"
    assert find_model_path().resolve().parent.parent == whole


def test_a_run_can_be_resolved_without_writing(run, tmp_path):
    run("one")
    before = sorted(tmp_path.rglob("*"))
    resolve_start(TrainingRequest(resume=True))
    resolve_start(TrainingRequest(recipe_path=Path("mine.toml")))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_holds_another_run_is_refused_with_a_hint(run, tmp_path):
    folder = run("one")
    with pytest.raises(TrainingError, match="already holds a run") as caught:
        resolve_start(TrainingRequest(recipe_path=Path("mine.toml"), out=folder))
    assert caught.value.hint == "continue it with `resume`, or choose another `out`"


@pytest.mark.parametrize(
    ("assignment", "change"),
    [
        ("train.batch_size=3", "train.batch_size: 2 -> 3"),
        ("train.generator_lr=1e-5", "train.generator_lr: 0.0003 -> 1e-05"),
        ("train.schedule=constant", "train.schedule: paper -> constant"),
        ("train.precision=bf16", "train.precision: fp32 -> bf16"),
        ("loss.lambda_rec=3", "loss.lambda_rec: 40.0 -> 3.0"),
        ("loss.lambda_gp=0", "loss.lambda_gp: None -> 0.0"),
    ],
)
def test_the_course_of_a_run_may_change_with_a_note(run, caplog, assignment, change):
    folder = run("one")
    caplog.set_level("INFO")
    wanted = ["train.steps=6", assignment]
    trainer = open_training(resolve_start(TrainingRequest(resume=True, assignments=wanted)))
    assert f"resuming with other settings ({change}): no longer bit-identical" in caplog.text
    assert (
        trainer.train() == folder.relative_to(Path.cwd()) / "checkpoints/step-0000006.safetensors"
    )
    key, new = assignment.partition("=")[0].partition(".")[2], change.rpartition(" -> ")[2]
    assert re.search(rf'^{key} = "?{new}"?$', (folder / "recipe.toml").read_text(), re.MULTILINE)
    caplog.clear()
    open_training(resolve_start(TrainingRequest(resume=True)))
    assert "no longer" not in caplog.text


@pytest.mark.parametrize(
    "assignment",
    ["model.generator_blocks=2", "train.critic_steps=3", "train.ema_decay=0", "seed=4"],
)
def test_what_may_not_change_is_refused_with_what_may(run, assignment):
    run("one")
    start = resolve_start(TrainingRequest(resume=True, assignments=[assignment]))
    for resume in (open_training, plan_start):
        with pytest.raises(TrainingError, match=assignment.partition("=")[0]) as caught:
            resume(start)
        assert "batch size, learning rates, schedule, precision" in caught.value.hint


def test_a_length_in_passes_over_the_data_outlives_another_batch_size(run, caplog):
    """6 images in batches of 2 are 3 steps a pass: after 4 of 12 steps 16 images are left."""
    folder = run("one", assignments=["train.epochs=4", "output.keep_checkpoints=0"])
    for path in sorted(folder.glob("checkpoints/*"))[2:]:
        path.unlink()
    caplog.set_level("INFO")
    request = TrainingRequest(resume=True, assignments=["train.batch_size=4"])
    assert plan_start(resolve_start(request)).num_steps == 8
    trainer = open_training(resolve_start(request))
    assert "train.epochs: 4 -> train.steps: 8" in caplog.text
    assert trainer.train().name == "step-0000008.safetensors"
    assert open_training(resolve_start(TrainingRequest(resume=True))).num_steps == 8


def test_what_cannot_be_resumed_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"no run to resume in \./runs"):
        resolve_start(TrainingRequest(resume=True))
    with pytest.raises(UsageError, match="give one of them"):
        TrainingRequest(resume=True, init_from=tmp_path / "x.safetensors")
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(TrainingError, match=r"recipe.toml is a file, so there is no run"):
        resolve_start(TrainingRequest(resume=True, out=tmp_path / "recipe.toml"))
