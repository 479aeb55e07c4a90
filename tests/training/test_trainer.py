import json
import tomllib
from dataclasses import replace

import pytest
import torch
from PIL import Image

from stargan_deploy.errors import DataError, ModelError, TrainingError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.training.evaluation import score
from stargan_deploy.training.recipe import resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer


def tensors(path):
    return load_checkpoint(path, with_training_state=True).tensors


def logged(folder):
    """The lines of losses among the metrics."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "d_real" in line]


def test_a_run_leaves_what_it_promises(tiny_trainer, tmp_path):
    last = tiny_trainer().train()
    folder = tmp_path / "run"
    assert last == folder / "checkpoints" / "step-0000006.safetensors"
    assert len(list((folder / "checkpoints").glob("step-*"))) == 3
    assert sorted(p.name for p in (folder / "samples").iterdir()) == [
        "step-0000003.jpg",
        "step-0000006.jpg",
    ]
    lines = logged(folder)
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"d_real", "d_fake", "d_cls", "d_gp", "g_fake", "g_cls", "g_rec"} <= set(lines[0])
    recipe = resolve_recipe(tomllib.loads((folder / "recipe.toml").read_text()))
    assert recipe.train.steps == 6
    assert "torch" in json.loads((folder / "environment.json").read_text())["versions"]
    (events,) = (folder / "tensorboard").glob("events*")
    assert b"samples" in events.read_bytes()
    assert b"g_rec" in events.read_bytes()


def test_the_card_knows_what_was_trained(tiny_trainer):
    checkpoint = load_checkpoint(tiny_trainer().train())
    card = checkpoint.card
    assert (card.step, card.weights, card.training_data) == (6, "ema", "synthetic faces")
    assert card.labels.names[:3] == ("Black_Hair", "Blond_Hair", "Brown_Hair")
    assert set(card.entry_points) == {"translate", "classify"}
    averaged, raw = (build_model(checkpoint, weights=w)["generator"] for w in ("ema", "raw"))
    assert not torch.equal(averaged.main[0].weight, raw.main[0].weight)


def test_the_finished_model_is_the_average_alone(tiny_trainer, tmp_path):
    last = load_checkpoint(tiny_trainer(output={"model_precision": "fp16"}).train())
    path = tmp_path / "run" / "model.safetensors"
    model = load_checkpoint(path, with_training_state=True)
    assert {name.split(".")[0] for name in model.tensors} == {"ema", "discriminator"}
    assert path.stat().st_size < 60_000
    first, second = (build_model(c)["generator"].main[0].weight for c in (last, model))
    assert second.dtype == torch.float32
    assert torch.equal(first.half().float(), second)
    with pytest.raises(UsageError, match="holds only the moving average"):
        build_model(model, weights="raw")


def test_a_finished_model_can_be_started_from(tiny_trainer, tiny_recipe, tmp_path):
    tiny_trainer().train()
    model = tmp_path / "run" / "model.safetensors"
    trainer = create_trainer(tiny_recipe(), Run(tmp_path / "second"), init_from=model)
    weights = trainer.objective.networks["generator"].state_dict()
    assert torch.equal(weights["main.0.weight"], tensors(model)["ema.generator.main.0.weight"])


def test_the_sample_grid_has_a_column_for_each_target(tiny_trainer, tmp_path):
    tiny_trainer().train()
    with Image.open(tmp_path / "run" / "samples" / "step-0000006.jpg") as grid:
        assert grid.width > 8 * 96
        assert grid.height > 2 * 96


@pytest.mark.parametrize(("stop", "channels_last"), [(2, False), (4, False), (4, True)])
def test_a_resumed_run_ends_bit_identical(tiny_recipe, tmp_path, stop, channels_last):
    recipe = tiny_recipe(train={"channels_last": channels_last})
    whole = create_trainer(recipe, Run(tmp_path / "whole")).train()
    cut = create_trainer(recipe, Run(tmp_path / "cut"))
    for step in cut.steps():
        if step == stop:
            break
    cut._recorder.stop(stop)
    resumed = resume_trainer(cut.run.newest_checkpoint(), Run(tmp_path / "cut"))
    assert resumed.step == stop
    last = resumed.train()
    first, second = tensors(whole), tensors(last)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_metrics_after_the_resumed_step_are_written_anew(tiny_trainer, tmp_path):
    tiny_trainer().train()
    run = Run(tmp_path / "run")
    run.checkpoint_path(6).unlink()
    resume_trainer(run.newest_checkpoint(), run).train()
    assert [line["step"] for line in logged(run.folder)] == [2, 4, 6]


def test_other_settings_are_refused_on_resume(tiny_trainer, tiny_recipe, tmp_path):
    last = tiny_trainer().train()
    with pytest.raises(TrainingError, match="seed: 0 -> 5"):
        resume_trainer(last, Run(tmp_path / "run"), recipe=tiny_recipe(seed=5))


def test_a_longer_run_may_go_on(tiny_trainer, tiny_recipe, tmp_path):
    last = tiny_trainer().train()
    recipe = tiny_recipe(train={"steps": 8}, output={"keep_checkpoints": 1})
    resumed = resume_trainer(last, Run(tmp_path / "run"), recipe=recipe)
    assert resumed.train().name == "step-0000008.safetensors"
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 1


def test_starting_from_a_checkpoint_keeps_its_weights_and_names_it(
    tiny_trainer, tiny_recipe, tmp_path
):
    last = tiny_trainer().train()
    trainer = create_trainer(tiny_recipe(), Run(tmp_path / "second"), init_from=last)
    weights = trainer.objective.networks["generator"].state_dict()
    assert torch.equal(weights["main.0.weight"], tensors(last)["generator.main.0.weight"])
    assert trainer.step == 0
    assert "initial weights" in load_checkpoint(trainer.train()).card.parents


def test_starting_from_other_networks_is_refused(tiny_trainer, tiny_recipe, tmp_path):
    last = tiny_trainer().train()
    with pytest.raises(ModelError, match="does not fit"):
        create_trainer(
            tiny_recipe(model={"generator_blocks": 2}), Run(tmp_path / "x"), init_from=last
        )


def test_a_checkpoint_without_training_state_cannot_be_resumed(checkpoint, tmp_path):
    with pytest.raises(TrainingError, match="is not a training checkpoint"):
        resume_trainer(checkpoint, Run(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run(tiny_trainer):
    trainer = tiny_trainer(train={"generator_lr": 1e30, "discriminator_lr": 1e30})
    with pytest.raises(TrainingError, match=r"is (nan|inf|-inf) at step \d+"):
        trainer.train()


def test_length_in_epochs(tiny_trainer):
    assert tiny_trainer(train={"epochs": 2.0}).num_steps == 10


def test_without_averages_the_last_weights_are_the_model(tiny_trainer):
    checkpoint = load_checkpoint(tiny_trainer(train={"ema_decay": 0.0}).train())
    assert checkpoint.card.weights == "raw"
    assert not checkpoint.part("ema.generator")


def test_float_batches_of_one_image(tiny_trainer):
    assert tiny_trainer(train={"batch_size": 1, "steps": 3}).train().exists()


def test_domains_train_too(tmp_path, tiny_recipe):
    for index, domain in enumerate(("warm", "cold")):
        (tmp_path / "data" / domain).mkdir(parents=True)
        for number in range(3):
            colour = (200, 50 * number, 30) if index else (30, 50 * number, 200)
            Image.new("RGB", (40, 36), colour).save(tmp_path / "data" / domain / f"{number}.png")
    recipe = tiny_recipe(data={"kind": "folders", "root": str(tmp_path / "data")})
    card = load_checkpoint(create_trainer(recipe, Run(tmp_path / "run")).train()).card
    assert card.labels.sets[0].kind == "onehot"
    assert card.labels.names == ("cold", "warm")


def test_progress_is_reported(tiny_recipe, tmp_path):
    seen = []
    trainer = create_trainer(tiny_recipe(), Run(tmp_path / "run"), report=seen.append)
    trainer.train()
    assert [progress.step for progress in seen] == [2, 4, 6]
    assert seen[-1].eta_s == 0
    assert seen[0].images_per_s == pytest.approx(2 * seen[0].steps_per_s)


def test_recipes_are_values():
    assert replace(resolve_recipe({"preset": "demo"}), seed=3).seed == 3


def test_the_best_checkpoint_is_kept_with_its_score(tiny_trainer, tmp_path):
    output = {"evaluate_every": 2, "keep_checkpoints": 1, "num_evaluated": 4}
    tiny_trainer(output=output).train()
    folder = tmp_path / "run" / "checkpoints"
    best = json.loads((folder / "best.json").read_text())
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    judged = {x["step"]: score(x) for x in lines if "eval/accuracy_mean" in x}
    assert set(judged) == {2, 4, 6}
    assert best["score"] == max(judged.values()) == judged[best["step"]]
    assert load_checkpoint(folder / "best.safetensors").card.step == best["step"]
    assert [p.name for p in folder.glob("step-*")] == ["step-0000006.safetensors"]


def test_the_report_shows_the_run(tiny_trainer, tmp_path):
    tiny_trainer().train()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "finished" in page
    assert "data:image/jpeg;base64," in page


def test_a_line_of_metrics_holds_the_means_since_the_last(tiny_trainer, tiny_recipe, tmp_path):
    every = create_trainer(tiny_recipe(output={"log_every": 1}), Run(tmp_path / "every"))
    every.train()
    tiny_trainer().train()
    single = {line["step"]: line for line in logged(tmp_path / "every")}
    for line in logged(tmp_path / "run"):
        pair = (single[line["step"] - 1]["d_gp"] + single[line["step"]]["d_gp"]) / 2
        assert line["d_gp"] == pytest.approx(pair, rel=1e-6)


def test_images_without_labels_are_refused(tmp_path, tiny_recipe):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    recipe = tiny_recipe(data={"kind": "plain", "root": str(tmp_path)})
    with pytest.raises(DataError, match="images of kind 'plain' have none"):
        create_trainer(recipe, Run(tmp_path / "run"))
