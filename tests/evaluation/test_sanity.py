"""What an evaluation says of models whose quality is known beforehand."""

import numpy as np
import pytest

from stargan_deploy.card.labels import multilabel_space, onehot_space
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.kinds.translation import Surroundings, measure_translations
from stargan_deploy.evaluation.plan import Leg
from stargan_deploy.evaluation.statistics import Bootstrap
from stargan_deploy.evaluation.summary import summarise
from stargan_deploy.inference.targets import name_targets
from tests.evaluation.painted import (
    NAMES,
    Painter,
    ideal,
    identity,
    inverted,
    photo_set,
    random_labels,
)

SPACE = multilabel_space(NAMES)
DOMAINS = onehot_space(NAMES)
FLIPS = [f"flip:{name}" for name in NAMES]


def measured(paint, labels, *, space=SPACE, words=FLIPS, judge=None, known=True, **look):
    """Figures of a painter on photos with these labels, and its raw values."""
    photos = photo_set(labels, space, with_labels=known)
    leg = Leg(entry_point="translate", targets=name_targets(space, words))
    with Painter(paint, space, **look) as runtime:
        around = Surroundings(photos=photos, judge=judge)
        found = measure_translations(runtime, [leg], around)
    assert not found.failures
    names = [target.removeprefix("flip:") for target in words]
    return summarise(found.values, names, Bootstrap(len(photos)), found.confusions), found


@pytest.fixture
def judge():
    with Painter(identity) as runtime:
        yield Judge.of(runtime)


def test_an_ideal_model_scores_everything(judge):
    found, raw = measured(ideal, random_labels(40), judge=judge)
    for answers in (found.own, found.judge):
        assert answers.accuracy.value == answers.real.value == answers.kept.value == 1
        assert answers.untranslated.value == 0
        assert {n: a.accuracy.num for n, a in answers.attributes.items()} == dict.fromkeys(
            NAMES, 40
        )
    assert found.measures["reconstruction"].value == 0
    assert found.measures["change"].value == pytest.approx((200 - 60) / 3)
    assert raw.num_images == 120


def test_a_model_that_changes_nothing_scores_chance_on_what_should_change(judge):
    found, _ = measured(identity, random_labels(40), judge=judge)
    for answers in (found.own, found.judge):
        assert answers.accuracy == answers.untranslated
        assert answers.accuracy.value == 0
        assert answers.kept.value == 1
    assert found.measures["change"].value == found.measures["reconstruction"].value == 0


def test_chance_is_what_the_classifier_gets_wrong():
    found, _ = measured(identity, random_labels(400), errors=0.2)
    assert found.own.accuracy == found.own.untranslated
    assert found.own.real.low < 0.8 < found.own.real.high
    assert found.own.accuracy.low < 0.2 < found.own.accuracy.high


def test_real_photos_of_the_target_score_like_real_photos():
    """Translations that are photos with the wanted labels, read by a judge that errs."""
    found, _ = measured(ideal, random_labels(400), errors=0.1)
    assert abs(found.own.accuracy.value - found.own.real.value) < 0.04
    assert found.own.accuracy.high < 0.95


def test_shuffled_targets_fall(judge):
    def shuffled(images, labels):
        return ideal(images, np.roll(labels, 1, axis=1))

    labels = random_labels(60)
    right, _ = measured(ideal, labels, judge=judge)
    wrong, _ = measured(shuffled, labels, judge=judge)
    assert wrong.judge.accuracy.high < 0.8 < right.judge.accuracy.low
    assert wrong.judge.kept.high < right.judge.kept.low
    opposite, _ = measured(inverted, labels, judge=judge)
    assert opposite.judge.accuracy.value == 0


def test_photos_that_have_the_target_do_not_count():
    labels = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
    found, raw = measured(ideal, labels, words=["Male"])
    assert found.own.attributes["Male"].accuracy.num == 2
    assert np.isnan(raw.values["own.accuracy"][0]).tolist() == [True, False, False, True]


def test_photos_without_labels_are_judged_by_what_is_read(judge):
    found, raw = measured(ideal, random_labels(20), known=False, judge=judge)
    assert found.own.accuracy.value == found.judge.accuracy.value == 1
    assert found.own.real is None
    assert "judge.real" not in {n for n, rows in raw.values.items() if np.isfinite(rows).any()}


def test_domains_have_the_classification_error_of_the_paper():
    """Every photo to every domain, its own among them, against that on real photos."""
    labels = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    found, _ = measured(ideal, labels, space=DOMAINS, words=NAMES)
    assert found.own.classification_error.value == 0
    assert found.own.real_classification_error.value == 0
    assert found.own.kept is None
    unchanged, _ = measured(identity, labels, space=DOMAINS, words=NAMES)
    assert unchanged.own.classification_error.value == pytest.approx(2 / 3)
    assert unchanged.own.classification_error.num == 60
    assert unchanged.own.accuracy.value == 0
    assert unchanged.own.confusion.meaning == "seen"
    assert np.allclose(unchanged.own.confusion.shares, 1 / 3)


def test_confusion_of_attributes_shows_what_changed(judge):
    found, _ = measured(ideal, random_labels(30), judge=judge)
    assert found.judge.confusion.meaning == "changed"
    assert np.allclose(found.judge.confusion.shares, np.eye(3))


class Colours(FeatureNet):
    """Mean colours and their products: features that anybody can check."""

    name, width = "colours", 4

    def _compute(self, pixels_NHWC):
        means = pixels_NHWC.mean(axis=(1, 2)) / 255
        noise = pixels_NHWC[:, 0, 0, :1] / 255
        return np.concatenate([means, noise], axis=1).astype(np.float32)


def test_sets_of_images_are_compared_on_named_features():
    labels = random_labels(120)
    good, _ = measured_sets(ideal, labels)
    bad, _ = measured_sets(lambda images, _: images // 4, labels)
    name = "Fréchet distance on colours"
    assert set(good) == {
        *(name, "kernel distance on colours", "precision on colours", "recall on colours"),
    }
    assert good[name].high < 0.2 < bad[name].low
    assert bad["precision on colours"].value == 0
    assert good["precision on colours"].value > 0.8


def measured_sets(paint, labels):
    photos = photo_set(labels, SPACE)
    leg = Leg(entry_point="translate", targets=name_targets(SPACE, FLIPS))
    around = Surroundings(photos=photos, nets=(Colours(),), identity=Colours())
    with Painter(paint) as runtime:
        found = measure_translations(runtime, [leg], around)
    return found.sets, found.values


def test_identity_is_one_for_a_model_that_changes_nothing_and_that_of_strangers_is_not():
    _, values = measured_sets(identity, random_labels(40))
    assert np.allclose(values["identity"], 1, atol=1e-5)
    assert abs(values["identity_of_others"].mean()) < 0.4
    _, values = measured_sets(inverted, random_labels(40))
    assert values["identity"].mean() < 0.2


def test_the_worst_photos_are_kept_once_each():
    def spoiled(images, labels):
        made = ideal(images, labels)
        made[images[:, 0, 0, 0] % 7 == 0] = 128
        return made

    _, raw = measured(spoiled, random_labels(50))
    for photos in raw.gallery.worst.values():
        assert 0 < len(photos) <= 6
        assert len({photo.photo for photo in photos}) == len(photos)
        assert [p.badness for p in photos] == sorted((p.badness for p in photos), reverse=True)
