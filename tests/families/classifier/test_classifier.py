"""The classifier: its network, its loss, and the figures in its card."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models import resnet18

from stargan_deploy.card.labels import NO_LABELS, multilabel_space, onehot_space
from stargan_deploy.config import from_mapping
from stargan_deploy.data.source import SequenceSource
from stargan_deploy.errors import DataError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, read_card
from stargan_deploy.families.classifier.networks import Classifier, ClassifierNetwork
from stargan_deploy.families.objectives.base import ObjectiveRequest, Training
from stargan_deploy.families.registry import load_family
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer
from tests.tiny_families import tiny_family_recipe, train_family, write_data

FAMILY = load_family("classifier")


def network(**changes):
    settings = {"width": 4, "num_labels": 3, "image_size": 32} | changes
    return Classifier(ClassifierNetwork(**settings)).eval()


def objective(labels, shares=(), **loss):
    return FAMILY.create_objective(
        ObjectiveRequest(
            model=from_mapping(FAMILY.model_config, {"width": 4}),
            loss=from_mapping(FAMILY.loss_config, loss),
            labels=labels,
            image_size=16,
            batch_size=4,
            num_steps=1,
            label_shares=shares,
        )
    )


def loss_of(made, label, **draws):
    image = torch.rand(len(label), 3, 16, 16) * 2 - 1
    batch = {"image": image, "label": torch.tensor(label, dtype=torch.float32)}
    drawn = made.draw(batch, torch.Generator().manual_seed(0)) | draws
    training = Training({"classifier": made.networks["classifier"].eval()})
    logits, _ = made.networks["classifier"](image)
    return made.losses("classifier", batch, drawn, training).total, logits, batch["label"]


@pytest.mark.parametrize(("size", "stride"), [(28, 1), (64, 2), (128, 2), (224, 4)])
def test_it_is_resnet_18_with_a_stem_that_fits(size, stride):
    model = FAMILY.resolve_model(from_mapping(FAMILY.model_config, {}), size)
    assert model.stem_stride == stride
    with torch.device("meta"):
        made = Classifier(ClassifierNetwork(num_labels=1000, image_size=size))
        original = resnet18()
    shapes = {name: tuple(t.shape) for name, t in made.state_dict().items()}
    wanted = {name: tuple(t.shape) for name, t in original.state_dict().items()}
    if stride != 4:
        wanted["conv1.weight"] = (64, 3, 3, 3)
    assert shapes == wanted


def test_with_the_original_stem_it_computes_what_torchvision_does():
    made = network(width=64, num_labels=1000, image_size=224)
    original = resnet18().eval()
    original.load_state_dict(made.state_dict())
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(made(image)[0], original(image))


def test_logits_are_a_linear_function_of_the_features():
    made = network()
    with torch.no_grad():
        logits, features = made(torch.randn(2, 3, 32, 32))
        torch.testing.assert_close(logits, made.fc(features))
    assert features.shape == (2, 32)


def test_attributes_have_the_sum_of_their_cross_entropies():
    made = objective(multilabel_space(["Male", "Young"]))
    total, logits, label = loss_of(made, [[1, 0], [0, 1], [1, 1], [0, 0]])
    wanted = F.binary_cross_entropy_with_logits(logits, label, reduction="none").sum(1).mean()
    torch.testing.assert_close(total, wanted)


def test_domains_have_a_cross_entropy():
    made = objective(onehot_space(["happy", "sad"]), label_smoothing=0.1)
    total, logits, label = loss_of(made, [[1, 0], [0, 1], [0, 1]])
    wanted = F.cross_entropy(logits, label.argmax(1), label_smoothing=0.1)
    torch.testing.assert_close(total, wanted)


def test_smoothing_spreads_an_attribute_over_both_outcomes():
    made = objective(multilabel_space(["Male"]), label_smoothing=0.2)
    total, logits, label = loss_of(made, [[1], [0]])
    torch.testing.assert_close(total, F.binary_cross_entropy_with_logits(logits, label * 0.8 + 0.1))


def test_balance_weighs_what_is_rare():
    made = objective(multilabel_space(["Male"]), shares=(0.1,), balance=1.0)
    total, logits, label = loss_of(made, [[1], [0]])
    weight = torch.tensor([9.0])
    wanted = F.binary_cross_entropy_with_logits(logits, label, pos_weight=weight)
    torch.testing.assert_close(total, wanted)
    made = objective(onehot_space(["happy", "sad"]), shares=(0.2, 0.8), balance=1.0)
    total, logits, label = loss_of(made, [[1, 0], [0, 1]])
    losses = F.cross_entropy(logits, label.argmax(1), reduction="none")
    torch.testing.assert_close(total, (losses * torch.tensor([2.5, 0.625])).mean())


def test_colours_are_jittered_within_the_range():
    made = objective(multilabel_space(["Male"]), colour_jitter=0.5)
    ones = torch.ones(2, 1, 1, 1)
    image = torch.rand(2, 3, 4, 4) * 2 - 1
    jittered = made._jittered(image, {"brightness": ones, "contrast": -ones})
    torch.testing.assert_close(jittered, (0.5 * image + 0.5).clamp(-1, 1))


def test_the_sample_grid_shows_what_speaks_for_each_label():
    made = objective(multilabel_space(["Male", "Young"]))
    batch = {"image": torch.rand(3, 3, 16, 16) * 2 - 1, "label": torch.zeros(3, 2)}
    with torch.no_grad():
        samples = made.sample(made.networks, batch)
    assert samples.headings == ("source", "Male", "Young")
    assert samples.images.shape == (3, 3, 3, 16, 16)
    assert torch.equal(samples.images[:, 0], batch["image"])
    assert (samples.images[:, 1:] <= batch["image"][:, None] + 1e-5).all()


def test_it_needs_labels():
    with pytest.raises(DataError, match="a classifier learns labels"):
        objective(NO_LABELS)


def test_the_card_says_how_often_it_is_right_on_all_held_out_images(tmp_path, command):
    checkpoint = train_family("classifier", tmp_path)
    model = tmp_path / "run" / "model.safetensors"
    card = read_card(model)
    assert card.held_out["num_images"] == 2
    assert set(card.held_out) >= {"accuracy", "accuracy/monet", "accuracy/photo"}
    assert not read_card(checkpoint).held_out
    assert '"held_out"' not in read_card(checkpoint).to_json()  # so that 0.1.0 reads it
    lines = command("info", model).out.splitlines()
    assert "held out     2 images" in lines
    assert any(line.strip().startswith("accuracy ") and "monet" in line for line in lines)
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("eval/label_accuracy/monet" in json.loads(line) for line in metrics)
    assert "accuracy of the classifier" in (tmp_path / "run" / "report.html").read_text()


def test_images_that_were_trained_on_are_not_held_out(tmp_path):
    data = write_data("classifier", tmp_path / "data")
    for extra in (data / "test").rglob("*.png"):
        extra.unlink()
    for folder in sorted((data / "test").rglob("*"), reverse=True):
        folder.rmdir()
    (data / "test").rmdir()
    trainer = create_trainer(tiny_family_recipe("classifier", data), Run(tmp_path / "run"))
    trainer.train()
    assert not read_card(tmp_path / "run" / "model.safetensors").held_out


def test_a_resumed_training_measures_too(tmp_path):
    train_family("classifier", tmp_path)
    model = tmp_path / "run" / "model.safetensors"
    wanted = read_card(model).held_out
    model.unlink()
    resume_trainer(
        tmp_path / "run" / "checkpoints" / "step-0000002.safetensors", Run(tmp_path / "run")
    ).train()
    assert read_card(model).held_out == wanted


def test_it_learns_and_other_labels_keep_what_both_know(tmp_path):
    """Red against blue, and then red against green."""
    random = np.random.default_rng(0)

    def source(names, colours):
        rows = random.integers(0, len(colours), 64)
        images = [np.full((16, 16, 3), colours[row], np.uint8) for row in rows]
        labels = np.eye(len(names), dtype=np.float32)[rows]
        return SequenceSource(images, labels, label_space=onehot_space(names))

    changes = {"train": {"steps": 40, "batch_size": 16}, "output": {"evaluate_every": 0}}
    recipe = tiny_family_recipe("classifier", tmp_path, **changes)
    colours = [(250, 30, 30), (30, 30, 250)]
    first = create_trainer(
        recipe,
        Run(tmp_path / "first"),
        train_source=source(["red", "blue"], colours),
        sample_source=source(["red", "blue"], colours),
    )
    first.train()
    model = tmp_path / "first" / "model.safetensors"
    assert read_card(model).held_out["accuracy"] == 1
    second = create_trainer(
        recipe,
        Run(tmp_path / "second"),
        train_source=source(["green", "red"], [(30, 250, 30), colours[0]]),
        sample_source=source(["green", "red"], [(30, 250, 30), colours[0]]),
        init_from=model,
    )
    old = build_model(load_checkpoint(model))["classifier"]
    new = second.objective.networks["classifier"]
    assert torch.equal(new.fc.weight[1], old.fc.weight[0])
    assert torch.equal(new.layer4[1].conv2.weight, old.layer4[1].conv2.weight)


def test_a_setting_out_of_range_is_refused():
    for loss in ({"balance": 1.5}, {"label_smoothing": 1.0}, {"weight_decay": -1.0}):
        with pytest.raises(ValueError, match=next(iter(loss))):
            dataclasses.replace(FAMILY.loss_config(), **loss)
