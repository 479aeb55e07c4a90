"""Counting of right and wrong predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.card.labels import LabelSet, LabelSpace, multilabel_space, onehot_space
from stargan_deploy.families.classifier.accuracy import Tally

ATTRIBUTES = multilabel_space(["Male", "Smiling"])
DOMAINS = onehot_space(["happy", "sad", "angry"])


def figures(labels, logits, label):
    tally = Tally(labels)
    for start in range(0, len(logits), 2):  # in batches
        tally.add(
            np.array(logits[start : start + 2], np.float32),
            np.array(label[start : start + 2], np.float32),
        )
    return tally.figures()


def test_attributes_count_present_or_not():
    logits = [[3, -1], [2, -1], [-1, -1], [1, 1]]
    label = [[1, 1], [0, 0], [0, 1], [1, 1]]
    found = figures(ATTRIBUTES, logits, label)
    assert found["num_images"] == 4
    assert found["accuracy/Male"] == 0.75
    assert found["accuracy/Smiling"] == 0.5
    assert found["accuracy"] == 0.625
    assert found["balanced_accuracy/Male"] == 0.75  # 2 of 2 with, 1 of 2 without
    assert found["balanced_accuracy/Smiling"] == pytest.approx((1 / 3 + 1) / 2)


def test_always_the_same_is_no_better_than_chance_when_balanced():
    label = [[1, 0]] * 9 + [[0, 1]]
    found = figures(ATTRIBUTES, [[5, -5]] * 10, label)
    assert found["accuracy"] == 0.9
    assert found["balanced_accuracy"] == 0.5


def test_domains_count_images_and_the_recall_of_each():
    logits = [[3, 0, 0], [3, 0, 0], [0, 1, 2], [0, 2, 1]]
    label = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    found = figures(DOMAINS, logits, label)
    assert found["accuracy"] == 0.75
    assert found["accuracy/happy"] == found["accuracy/angry"] == 1
    assert found["accuracy/sad"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx(2.5 / 3)


def test_a_label_that_all_images_have_is_not_balanced():
    found = figures(ATTRIBUTES, [[1, 1]], [[1, 0]])
    assert "balanced_accuracy" not in found
    assert found["accuracy"] == 0.5


def test_joint_images_count_for_their_own_set():
    sets = (
        LabelSet(name="faces", kind="multilabel", names=("Male",)),
        LabelSet(name="moods", kind="onehot", names=("happy", "sad")),
    )
    labels = LabelSpace(sets=sets)
    label = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 1]]
    found = figures(labels, [[1, 5, 0], [9, 5, 0], [9, 5, 0]], label)
    assert found["accuracy/Male"] == 1
    assert found["accuracy/sad"] == 0
    assert found["accuracy"] == 0.75
    assert found["num_images"] == 3


def test_nothing_counted_gives_nothing():
    assert Tally(ATTRIBUTES).figures() == {}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_accuracy_is_the_share_of_equal_labels(pairs):
    labels = multilabel_space(["Male"])
    found = figures(labels, [[1 if p else -1] for p, _ in pairs], [[t] for _, t in pairs])
    assert found["accuracy"] == pytest.approx(np.mean([p == t for p, t in pairs]))
