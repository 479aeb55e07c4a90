"""A judge every few steps of a training."""

import json

import pytest

from stargan_deploy.errors import LabelError, ModelError
from stargan_deploy.evaluation.examine import examine_as_asked
from stargan_deploy.families.checkpoint import load_checkpoint
from tests.conftest import ATTRIBUTES, make_checkpoint


@pytest.fixture
def judge(tmp_path):
    return make_checkpoint(tmp_path / "judge.safetensors")


def evaluated(judge, every=3):
    return {
        "data": {"attributes": list(ATTRIBUTES)},
        "evaluate": {"every": every, "judge": str(judge), "count": 4},
    }


def test_the_judge_chooses_the_best_checkpoint_and_leaves_the_training_alone(tiny_trainer, judge):
    plain = tiny_trainer("plain", data={"attributes": list(ATTRIBUTES)})
    plain.train()
    trainer = tiny_trainer("judged", **evaluated(judge))
    examine_as_asked(trainer)
    trainer.train()
    text = (trainer.run.folder / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    judged = [line for line in lines if "eval/judge_accuracy_mean" in line]
    assert [line["step"] for line in judged] == [3, 6]
    assert "eval/judge_accuracy/Male" in judged[0]
    assert "eval/reconstruction" in judged[0]
    scores = {
        line["step"]: line["eval/judge_accuracy_mean"] - line["eval/reconstruction"] / 127.5
        for line in judged
    }
    best = json.loads((trainer.run.checkpoints / "best.json").read_text())
    assert best["score"] == pytest.approx(max(scores.values()))
    assert best["step"] == max(scores, key=scores.get)
    assert not (trainer.run.folder / "examined.safetensors").exists()
    assert "Accuracy by the judge" in trainer.run.report_path.read_text()
    first, second = (load_checkpoint(t.run.model_path).tensors for t in (plain, trainer))
    assert all(bool((tensor == second[name]).all()) for name, tensor in first.items())


def test_what_cannot_judge_is_refused_before_the_first_step(tiny_trainer, tmp_path):
    for judge, error in [
        (tmp_path / "nowhere", ModelError),
        (make_checkpoint(tmp_path / "b.safetensors", discriminator=False), ModelError),
        (make_checkpoint(tmp_path / "c.safetensors", attributes=("Male", "Bald")), LabelError),
    ]:
        trainer = tiny_trainer("run", **evaluated(judge))
        with pytest.raises(error):
            examine_as_asked(trainer)


def test_without_a_table_nothing_is_examined(tiny_trainer):
    trainer = tiny_trainer()
    examine_as_asked(trainer)
    assert trainer._recorder.examiner is None
