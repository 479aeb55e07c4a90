"""How a training begins, as a library decides it; the command line has its own tests."""

import os
from pathlib import Path

import pytest

from stargan_deploy.errors import TrainingError, UsageError
from stargan_deploy.families.checkpoint import newest_run
from stargan_deploy.inference.find import find_model_path
from stargan_deploy.training.start import TrainingRequest, open_training, resolve_start

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

    def train(name, *, age_s=0.0):
        request = TrainingRequest(recipe_path=Path("mine.toml"), out=tmp_path / "runs" / name)
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


def test_what_cannot_be_resumed_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"no run to resume in \./runs"):
        resolve_start(TrainingRequest(resume=True))
    with pytest.raises(UsageError, match="give one of them"):
        TrainingRequest(resume=True, init_from=tmp_path / "x.safetensors")
