"""Joint training on sets with different labels (StarGAN, section 3.2)."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import TrainingError
from stargan_deploy.families.checkpoint import load_checkpoint
from stargan_deploy.families.objectives.base import ObjectiveRequest, Training
from stargan_deploy.families.objectives.classification import classification_loss
from stargan_deploy.families.stargan.networks import ModelConfig
from stargan_deploy.families.stargan.objective import LossConfig, StarGANObjective
from stargan_deploy.training.recipe import differences, resolve_recipe
from stargan_deploy.training.runs.run import Run
from stargan_deploy.training.session import create_trainer, resume_trainer

SPACE = LabelSpace(
    sets=(
        multilabel_space(("a", "b", "c"), name="faces").sets[0],
        onehot_space(("happy", "sad"), name="moods").sets[0],
    )
)
LABELS = {
    "faces": ([[1, 0, 1], [0, 0, 0], [0, 1, 1]], slice(0, 3), [1, 0]),
    "moods": ([[1, 0], [0, 1], [0, 1]], slice(3, 5), [0, 1]),
}


@pytest.fixture
def objective():
    model = ModelConfig(
        generator_conv_dim=4,
        generator_blocks=1,
        discriminator_conv_dim=4,
        discriminator_layers=2,
    )
    torch.manual_seed(0)
    made = StarGANObjective(
        ObjectiveRequest(
            model=model,
            loss=LossConfig(),
            labels=SPACE,
            image_size=16,
            batch_size=3,
            num_steps=1,
        )
    )
    for part in made.networks.values():
        part.double()
    return made


def step(set_name):
    """A batch of one set with its draws: the labels of the other set are zero."""
    own, columns, mask = LABELS[set_name]
    label = torch.zeros(3, 7, dtype=torch.double)
    label[:, columns] = torch.tensor(own, dtype=torch.double)
    label[:, 5:] = torch.tensor(mask, dtype=torch.double)
    random = torch.Generator().manual_seed(1)
    image = torch.rand(3, 3, 16, 16, generator=random, dtype=torch.double) * 2 - 1
    alpha = torch.rand(3, 1, 1, 1, generator=random, dtype=torch.double)
    return {"image": image, "label": label}, {"label_target": label[[2, 0, 1]], "alpha": alpha}


def own_classification(set_name, logits, label):
    """The loss as the official code's `train_multi` computes it on one set's columns."""
    _, columns, _ = LABELS[set_name]
    logits, label = logits[:, columns], label[:, columns]
    if set_name == "moods":
        return F.cross_entropy(logits, label.argmax(1))
    return F.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(logits)


@pytest.mark.parametrize("set_name", LABELS)
def test_one_joint_step_recomputed(objective, set_name):
    batch, draws = step(set_name)
    real, label, target = batch["image"], batch["label"], draws["label_target"]
    generator, discriminator = objective.generator, objective.discriminator
    fake = generator(real, target)
    real_scores, real_logits = discriminator(real)
    fake_scores, fake_logits = discriminator(fake)
    between = (draws["alpha"] * real + (1 - draws["alpha"]) * fake.detach()).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between)[0].sum(), between)
    expected = {
        "d_real": -real_scores.mean(),
        "d_fake": fake_scores.mean(),
        "d_cls": own_classification(set_name, real_logits, label),
        "d_gp": ((slope.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean(),
        "g_fake": -fake_scores.mean(),
        "g_cls": own_classification(set_name, fake_logits, target),
        "g_rec": (generator(fake, label) - real).abs().mean(),
    }
    totals = {
        "discriminator": expected["d_real"]
        + expected["d_fake"]
        + expected["d_cls"]
        + 10 * expected["d_gp"],
        "generator": expected["g_fake"] + expected["g_cls"] + 10 * expected["g_rec"],
    }
    training = Training(objective.networks)
    draws |= objective.share(batch, draws, ("discriminator", "generator"), training)
    for update, total in totals.items():
        losses = objective.losses(update, batch, draws, training)
        torch.testing.assert_close(losses.total, total)
        for name, term in losses.terms.items():
            torch.testing.assert_close(term, expected.pop(name))
    assert not expected


@pytest.mark.parametrize("set_name", LABELS)
def test_the_other_set_s_logits_get_no_gradient(objective, set_name):
    batch, _ = step(set_name)
    logits = torch.randn(3, 5, dtype=torch.double, requires_grad=True)
    classification_loss(objective.labels, logits, batch["label"]).backward()
    _, columns, _ = LABELS[set_name]
    assert logits.grad[:, columns].abs().min() > 0
    logits.grad[:, columns] = 0
    assert not logits.grad.any()


def test_targets_stay_within_the_batch_s_set(objective):
    batch, _ = step("moods")
    target = objective.draw(batch, torch.Generator().manual_seed(0))["label_target"]
    assert sorted(target.tolist()) == sorted(batch["label"].tolist())


def test_samples_show_the_targets_of_all_sets(objective):
    faces, moods = (step(name)[0] for name in LABELS)
    batch = {name: torch.cat([faces[name], moods[name]]) for name in faces}
    samples = objective.sample(objective.networks, batch)
    assert samples.headings == ("source", "flip:a", "flip:b", "flip:c", "happy", "sad")
    assert samples.images.shape == (6, 6, 3, 16, 16)
    # An image of the moods has no known attribute: to flip one is to switch it on alone.
    on_b = torch.tensor([[0, 1, 0, 0, 0, 1, 0]], dtype=torch.double)
    expected = objective.generator(moods["image"][:1], on_b)
    torch.testing.assert_close(samples.images[3, 2:3], expected)


@pytest.fixture
def joint_recipe(tiny_recipe, tmp_path):
    """Makes a tiny recipe of drawn faces and two folders."""
    for number, folder in enumerate(("warm/1", "warm/2", "cold/3", "cold/4", "cold/5")):
        path = tmp_path / "moods" / f"{folder}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 36), (50 * number, 90, 250 - 50 * number)).save(path)
    sets = {
        "faces": {"kind": "synthetic", "attributes": ["Male", "Young"]},
        "moods": {"kind": "folders", "root": str(tmp_path / "moods")},
    }
    return lambda **data: tiny_recipe(data={"kind": "auto", "sets": sets} | data)


def test_a_joint_run_knows_its_sets_and_resumes_exactly(joint_recipe, tmp_path):
    run = Run(tmp_path / "run")
    last = create_trainer(joint_recipe(), run).train()
    whole = load_checkpoint(last, with_training_state=True)
    for step in (4, 6):
        run.checkpoint_path(step).unlink()
    resume_trainer(run.newest_checkpoint(), run).train()
    resumed = load_checkpoint(last, with_training_state=True)
    assert [label_set.name for label_set in whole.card.labels.sets] == ["faces", "moods"]
    assert whole.card.network["label_width"] == 2 + 2 + 2
    assert whole.card.network["num_labels"] == 4
    assert whole.card.training_data == "synthetic faces + moods"
    assert whole.tensors.keys() == resumed.tensors.keys()
    assert all(torch.equal(whole.tensors[name], resumed.tensors[name]) for name in whole.tensors)


def test_both_players_see_both_sets(joint_recipe, tmp_path):
    trainer = create_trainer(joint_recipe(), Run(tmp_path / "run"))
    masks = [batch["label"][0, -2:].argmax().item() for batch in trainer._batches()]
    assert masks == [0, 1, 1, 0, 0, 1]
    assert {masks[index] for index in (1, 3, 5)} == {0, 1}


def test_other_labels_are_refused_on_resume(joint_recipe, tmp_path):
    last = create_trainer(joint_recipe(), Run(tmp_path / "run")).train()
    (tmp_path / "moods" / "warm").rename(tmp_path / "moods" / "mild")
    with pytest.raises(TrainingError, match=r"learns Male, Young, cold, warm, on data with .*mild"):
        resume_trainer(last, Run(tmp_path / "run"))


def test_broken_images_are_logged(joint_recipe, tmp_path, caplog):
    (tmp_path / "moods" / "cold" / "4.png").write_bytes(b"")
    caplog.set_level("INFO", "stargan_deploy")
    create_trainer(joint_recipe(skip_broken=True), Run(tmp_path / "run")).train()
    assert "left out 1 of 15 images, which cannot be read: moods/cold/4.png" in caplog.messages


def test_the_place_of_a_set_may_change_on_resume_and_its_kind_not(joint_recipe):
    old = joint_recipe()
    moved = replace(
        old.data, sets=old.data.sets | {"moods": replace(old.data.sets["moods"], root="elsewhere")}
    )
    assert differences(old, replace(old, data=moved)) == []
    other = replace(
        old.data, sets=old.data.sets | {"moods": replace(old.data.sets["moods"], kind="celeba")}
    )
    assert differences(old, replace(old, data=other)) == ["data.sets.moods.kind: folders -> celeba"]


def test_a_broken_file_does_not_keep_a_run_from_going_on():
    old = resolve_recipe({"preset": "demo"})
    assert differences(old, resolve_recipe({"preset": "demo", "data": {"skip_broken": True}})) == []
