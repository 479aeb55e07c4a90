"""Every family goes through the trainer's doors: files, cards, exact resume."""

import json

import pytest
import torch

from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, plan_training, resume_trainer
from tests.tiny_families import (
    TINY,
    large_ones_slowly,
    tiny_family_recipe,
    train_family,
    write_data,
)

FAMILIES = sorted(TINY)


def tensors(path):
    return load_checkpoint(path, with_training_state=True).tensors


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_leaves_samples_metrics_and_a_card(family, tmp_path):
    last = train_family(family, tmp_path)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any(name == "c_cls" or (name.startswith("d_") and "real" in name) for name in lines[0])
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 2
    assert (tmp_path / "run" / "report.html").exists()
    card = load_checkpoint(last).card
    assert (card.family, card.step, card.weights) == (family, 4, "ema")
    assert card.entry_points
    assert build_model(load_checkpoint(tmp_path / "run" / "model.safetensors"))


@pytest.mark.parametrize(("batch_size", "num_steps"), [(1, 10), (2, 5)])
def test_an_epoch_of_two_domains_is_one_of_the_larger(tmp_path, batch_size, num_steps):
    """As in the authors' UnalignedDataset, max(A, B); it once was both together, 16 steps here."""
    data = write_data("cyclegan", tmp_path)
    train = {"epochs": 2.0, "batch_size": batch_size}
    plan = plan_training(tiny_family_recipe("cyclegan", data, train=train))
    assert (plan.num_images, plan.num_steps) == (8, num_steps)


@pytest.mark.parametrize(
    "stop", [1, *(pytest.param(later, marks=pytest.mark.slow) for later in (2, 3))]
)
@pytest.mark.parametrize("family", large_ones_slowly(FAMILIES))
def test_a_resumed_training_ends_bit_identical(family, tmp_path, stop):
    compare_resumed(family, tmp_path, stop)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_channels_last_training_resumes_bit_identical(family, tmp_path):
    """Adam's state came back in another layout than its weights, and moved the wrong ones."""
    compare_resumed(family, tmp_path, 2, train={"channels_last": True})


def compare_resumed(family, folder, stop, **changes):
    whole = tensors(train_family(family, folder, **changes))
    recipe = tiny_family_recipe(family, folder / "data", **changes)
    cut = create_trainer(recipe, Run(folder / "cut"))
    for step in cut.steps():
        if step == stop:
            break
    cut._recorder.stop(stop)
    resumed = resume_trainer(cut.run.newest_checkpoint(), Run(folder / "cut"))
    assert resumed.step == stop
    last = tensors(resumed.train())
    assert whole.keys() == last.keys()
    assert [name for name in whole if not torch.equal(whole[name], last[name])] == []


@pytest.mark.parametrize("family", large_ones_slowly(FAMILIES))
def test_looking_at_the_networks_does_not_change_the_training(family, tmp_path):
    often = tensors(train_family(family, tmp_path / "often", output={"sample_every": 1}))
    never = tensors(train_family(family, tmp_path / "never", output={"sample_every": 4}))
    assert [name for name in often if not torch.equal(often[name], never[name])] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_all_families_train_in_bf16(family, tmp_path):
    assert train_family(family, tmp_path, train={"precision": "bf16"}).exists()
