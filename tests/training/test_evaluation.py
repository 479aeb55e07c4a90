import copy
import math

import numpy as np
import pytest
import torch

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.families.objectives.base import LabelTranslation, ObjectiveRequest
from stargan_deploy.families.stargan.networks import ModelConfig
from stargan_deploy.families.stargan.objective import LossConfig, StarGANObjective
from stargan_deploy.training.evaluation import evaluate

CPU = torch.device("cpu")
HAIR = multilabel_space(["Black_Hair", "Blond_Hair", "Male"])
MOODS = onehot_space(["happy", "sad", "angry"], name="moods")
JOINT = LabelSpace(sets=(*HAIR.sets, *MOODS.sets))


class Painter(LabelTranslation):
    """Writes a label into the first row of pixels, where the classifier reads it."""

    def __init__(self, num_labels: int) -> None:
        self.num_labels = num_labels

    def translate(self, networks, image_BCHW, label_BD):
        painted = image_BCHW.clone()
        painted[:, 0, 0, : self.num_labels] = 2 * label_BD[:, : self.num_labels] - 1
        return painted

    def classify(self, networks, image_BCHW):
        return image_BCHW[:, 0, 0, : self.num_labels]


class Idler(Painter):
    """Leaves every image as it is."""

    def translate(self, networks, image_BCHW, label_BD):
        return image_BCHW


class Collapsed(Painter):
    """Makes one picture of all images."""

    def translate(self, networks, image_BCHW, label_BD):
        return super().translate(networks, torch.zeros_like(image_BCHW), label_BD)


def held_out(space, label_ND):
    """Noise with the known labels painted in."""
    label = torch.tensor(label_ND, dtype=torch.float32)
    noise = torch.randint(0, 256, (len(label), 3, 16, 16), generator=torch.Generator())
    image = noise.to(torch.uint8)
    image[:, 0, 0, : space.num_labels] = 255 * label[:, : space.num_labels].to(torch.uint8)
    return {"image": image, "label": label}


FACES = held_out(HAIR, [[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]] * 2)


def run(objective, space=HAIR, batch=FACES, **options):
    return evaluate(objective, {}, batch, space, device=CPU, **options)


def test_a_perfect_translator_scores_fully():
    values = run(Painter(3))
    names = ("Black_Hair", "Blond_Hair", "Male")
    assert [values[f"eval/accuracy/{name}"] for name in names] == [1, 1, 1]
    assert values["eval/accuracy_mean"] == values["eval/accuracy_real"] == 1
    assert values["eval/reconstruction_levels"] == pytest.approx(0, abs=1e-4)
    assert 0 < values["eval/change_levels"] < 255 * 3 / (3 * 16 * 16)
    assert values["eval/diversity"] == pytest.approx(1, abs=0.05)


def test_a_translator_that_does_nothing_scores_nothing():
    values = run(Idler(3))
    assert values["eval/accuracy_mean"] == 0
    assert values["eval/change_levels"] == 0
    assert values["eval/diversity"] == values["eval/diversity_min"] == 1
    assert values["eval/accuracy_real"] == 1


def test_mode_collapse_shows_though_the_classifier_is_content():
    values = run(Collapsed(3))
    assert values["eval/accuracy_mean"] == 1
    assert values["eval/diversity_min"] <= values["eval/diversity"] < 0.05
    assert values["eval/reconstruction_levels"] > 30


def test_a_collapse_to_one_label_alone_shows_in_the_minimum():
    class Partly(Painter):
        def translate(self, networks, image_BCHW, label_BD):
            kept = 1 - label_BD[:, 1, None, None, None]
            return super().translate(networks, image_BCHW * kept, label_BD)

    values = run(Partly(3))
    assert values["eval/diversity_min"] < 0.05 < 0.3 < values["eval/diversity"]


def test_domains_count_the_images_of_other_domains():
    values = run(Painter(3), MOODS, held_out(MOODS, np.eye(3)[[0, 0, 1, 2]]))
    assert values["eval/accuracy_mean"] == values["eval/accuracy_real"] == 1
    assert run(Idler(3), MOODS, held_out(MOODS, np.eye(3)[[0, 0, 1, 2]]))["eval/accuracy_mean"] == 0


def test_joint_labels_are_judged_where_they_are_known():
    faces = [[1, 0, 1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0, 1, 0]]
    moods = [[0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0, 1]]
    values = run(Painter(6), JOINT, held_out(JOINT, faces + moods))
    assert {f"eval/accuracy/{name}" for name in JOINT.names} <= set(values)
    assert values["eval/accuracy_mean"] == values["eval/accuracy_real"] == 1


def test_what_the_images_cannot_tell_is_left_out():
    values = run(Painter(3), MOODS, held_out(MOODS, [[1, 0, 0]]))
    assert set(values) == {
        "eval/accuracy/sad",
        "eval/accuracy/angry",
        "eval/accuracy_mean",
        "eval/accuracy_real",
        "eval/change_levels",
        "eval/reconstruction_levels",
    }


def test_labels_named_like_a_summary_do_not_hide_it():
    space = multilabel_space(["mean", "real"])
    values = run(Idler(2), space, held_out(space, [[0, 1], [1, 0]]))
    assert values["eval/accuracy_real"] == 1
    assert values["eval/accuracy/real"] == 0


@pytest.fixture
def stargan():
    torch.manual_seed(0)
    model = ModelConfig(
        generator_conv_dim=4,
        generator_blocks=1,
        discriminator_conv_dim=4,
        discriminator_layers=2,
    )
    return StarGANObjective(
        ObjectiveRequest(
            model=model,
            loss=LossConfig(),
            labels=HAIR,
            image_size=16,
            batch_size=4,
            num_steps=1,
        )
    )


def test_stargan_is_evaluated_and_left_as_it_was(stargan):
    before = copy.deepcopy(stargan.networks)
    random_state = torch.get_rng_state()
    values = evaluate(stargan, stargan.networks, FACES, HAIR, device=CPU)
    assert isinstance(stargan, LabelTranslation)
    assert all(math.isfinite(value) for value in values.values())
    assert values["eval/change_levels"] > 0
    assert torch.equal(random_state, torch.get_rng_state())
    for role, network in stargan.networks.items():
        assert network.training
        for name, weight in network.named_parameters():
            assert weight.requires_grad and weight.grad is None
            assert torch.equal(weight, before[role].get_parameter(name))


def test_neither_repetition_nor_batch_size_changes_the_numbers(stargan):
    values = evaluate(stargan, stargan.networks, FACES, HAIR, device=CPU)
    assert values == evaluate(stargan, stargan.networks, FACES, HAIR, device=CPU)
    by_threes = evaluate(stargan, stargan.networks, FACES, HAIR, device=CPU, batch_size=3)
    assert by_threes == pytest.approx(values, rel=1e-3)
