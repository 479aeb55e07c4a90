"""Photos through the pipeline, which are held no longer than need be."""

import numpy as np

from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.evaluation.photos import collect
from stargan_deploy.inference.targets import name_targets
from stargan_deploy.inference.translator import Translator
from tests.evaluation.painted import NAMES, Painter, ideal, photo_set, random_labels

SPACE = multilabel_space(NAMES)


def test_groups_hold_each_photo_once_with_its_translations():
    labels = random_labels(37)
    targets = name_targets(SPACE, ["Male", "-Male"])
    with Painter(ideal) as runtime:
        translator = Translator(runtime.card, runtime)
        groups = list(
            collect.translated(translator, targets, photo_set(labels, SPACE), range(37), labels)
        )
    assert [len(group.places) for group in groups] == [16, 16, 5]
    assert sorted(place for group in groups for place in group.places) == list(range(37))
    for group in groups:
        bright = group.images[..., 0].mean(axis=(2, 3)) > 127
        assert bright[0].all()
        assert not bright[1].any()
        kept = group.images[..., 1:].mean(axis=(2, 3)) > 127
        assert np.array_equal(kept[0], labels[list(group.places), 1:] > 0.5)


def test_the_number_of_photos_in_memory_is_bounded(monkeypatch):
    most = 0

    class Watched(collect.Desk):
        def put(self, place):
            nonlocal most
            most = max(most, len(self._squares))
            return super().put(place)

    monkeypatch.setattr(collect, "Desk", Watched)
    labels = random_labels(1500)
    with Painter(ideal) as runtime:
        translator = Translator(runtime.card, runtime)
        targets = name_targets(SPACE, ["Male"])
        photos = photo_set(labels, SPACE)
        num = sum(
            len(group.places)
            for group in collect.translated(translator, targets, photos, range(1500), labels)
        )
    assert num == 1500
    assert most < 200
