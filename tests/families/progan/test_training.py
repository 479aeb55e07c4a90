"""Growing: which step is at which stage, and that a stop in the middle changes nothing."""

import functools

import pytest
import torch

from stargan_deploy.errors import ConfigError, TrainingError
from stargan_deploy.families.checkpoint import load_checkpoint
from stargan_deploy.families.progan.objective import growth, stage_phases
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer
from tests.float64 import in_float64
from tests.tiny_families import tiny_family_recipe, train_family

LONG = {"train": {"steps": 9, "ema_decay": 0.9}}
"""Three steps at 4x4, three in which 8x8 is faded in, and three at 8x8."""


def tensors(path):
    return load_checkpoint(path, with_training_state=True).tensors


def test_all_halves_are_of_one_length_and_the_last_takes_the_rest():
    phases = stage_phases(2, num_steps=23, batch_size=4)
    assert [(p.image_size, p.num_steps) for p in phases] == [(4, 4), (8, 8), (16, 11)]
    with pytest.raises(
        ConfigError, match=r"4 steps are too few to grow to stage 2; set `train\.steps` to 5"
    ):
        stage_phases(2, num_steps=4, batch_size=4)


def test_alpha_rises_in_the_first_half_of_a_stage():
    phases = stage_phases(1, num_steps=9, batch_size=4)
    found = [growth(phases, step) for step in range(9)]
    assert found[:3] == [(0, 1.0)] * 3
    assert [stage for stage, _ in found[3:]] == [1] * 6
    assert [alpha for _, alpha in found[3:]] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
    assert growth(phases, 1000) == (1, 1.0)


@pytest.mark.parametrize("stop", [2, 3, 4, 5, 7])
def test_a_stop_at_any_point_of_the_growing_changes_nothing(tmp_path, stop):
    whole = tensors(train_family("progan", tmp_path, **LONG))
    recipe = tiny_family_recipe("progan", tmp_path / "data", **LONG)
    cut = create_trainer(recipe, Run(tmp_path / "cut"))
    for step in cut.steps():
        if step == stop:
            break
    cut._recorder.stop(stop)
    resumed = resume_trainer(cut.run.newest_checkpoint(), Run(tmp_path / "cut"))
    last = tensors(resumed.train())
    assert [name for name in whole if not torch.equal(whole[name], last[name])] == []


def test_a_checkpoint_knows_how_far_it_has_grown(tmp_path):
    output = {"checkpoint_every": 1, "keep_checkpoints": 0}
    train_family("progan", tmp_path, **LONG, output=output)
    cards = [
        load_checkpoint(path).card for path in sorted((tmp_path / "run/checkpoints").glob("step-*"))
    ]
    sizes = [card.preprocessing.image_size for card in cards]
    assert sizes == [4, 4, 4, 8, 8, 8, 8, 8, 8]
    shapes = [card.entry_point("sample").outputs[0].shape[-1] for card in cards]
    assert shapes == sizes
    assert [card.network["stage"] for card in cards] == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert cards[3].network["alpha"] == pytest.approx(1 / 3)
    assert cards[3].notes == ("still growing: at 8x8 of 8x8, faded in by 33%",)
    assert cards[-1].notes == ()


def test_a_finished_training_that_is_resumed_keeps_its_stage(tmp_path):
    last = train_family("progan", tmp_path, **LONG)
    again = resume_trainer(last, Run(tmp_path / "run"))
    again.train()
    card = load_checkpoint(tmp_path / "run" / "model.safetensors").card
    assert (card.network["stage"], card.network["alpha"]) == (1, 1.0)


def test_a_length_that_would_move_the_stages_is_refused_on_resume(tmp_path):
    """The network was cut back to an earlier stage, and nothing said."""
    last = train_family("progan", tmp_path, **LONG)
    longer = tiny_family_recipe("progan", tmp_path / "data", train={"steps": 18, "ema_decay": 0.9})
    with pytest.raises(TrainingError, match="of 9 steps as one of 18: its 2 stages") as caught:
        resume_trainer(last, Run(tmp_path / "run"), recipe=longer)
    assert "step 9 would be at another one" in str(caught.value)
    early = tmp_path / "run" / "checkpoints" / "step-0000006.safetensors"
    with pytest.raises(TrainingError, match="step 6 would be at another one"):
        resume_trainer(early, Run(tmp_path / "run"), recipe=longer)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_compiled_losses_follow_the_growing(tmp_path, monkeypatch):
    """Three sizes, faded in or not, for two players: more versions than torch's own limit of 8.

    Sizes stay numbers: the penalty's double backward fails on symbolic ones, in which torch turns
    what changes. `aot_eager` leaves out the C++ compiler alone.
    """
    grown = {"data": {"image_size": 16}, "train": {"steps": 15, "ema_decay": 0.9}}
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    with in_float64(), torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        eager = tensors(train_family("progan", tmp_path / "eager", **grown))
        grown["train"]["compile"] = True
        traced = tensors(train_family("progan", tmp_path / "compiled", **grown))
    assert eager.keys() == traced.keys()
    for name, tensor in eager.items():
        assert torch.allclose(tensor, traced[name], rtol=1e-3, atol=1e-4), name
