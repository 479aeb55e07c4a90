"""Images from noise, read by a judge."""

import numpy as np
import pytest

from stargan_deploy.card.card import SAMPLE, ModelCard, Preprocessing, new_entry_point
from stargan_deploy.card.labels import NO_LABELS, onehot_space
from stargan_deploy.card.tensors import class_spec, image_spec, vector_spec
from stargan_deploy.errors import LabelError
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.kinds.base import Surroundings
from stargan_deploy.evaluation.kinds.sampling import measure_samples
from stargan_deploy.evaluation.statistics import Bootstrap
from stargan_deploy.evaluation.summary import summarise
from tests.evaluation.painted import NAMES, SIZE, Painter, identity, painted, photo_set

DOMAINS = onehot_space(NAMES)


class Sampler(Painter):
    """Paints the class that is asked for, or another one in every `lies`-th image."""

    def __init__(self, *, lies=0, has_classes=True):
        super().__init__(identity, DOMAINS)
        inputs = [vector_spec("latent", "latent", 4)]
        if has_classes:
            inputs.append(class_spec("class_index", 3))
        point = new_entry_point(inputs, image_spec("image", SIZE, SIZE, io="uint8"))
        self.card = ModelCard(
            family="painter",
            network={},
            weights="raw",
            step=0,
            labels=DOMAINS if has_classes else NO_LABELS,
            preprocessing=Preprocessing(image_size=SIZE),
            entry_points={SAMPLE: point},
        )
        self._lies, self._num_made = lies, 0

    def _execute(self, entry_point, inputs):
        latent = inputs["latent"]
        shown = inputs.get("class_index", np.zeros(len(latent), np.int64)).copy()
        numbers = self._num_made + np.arange(len(latent))
        self._num_made += len(latent)
        if self._lies:
            shown[numbers % self._lies == 0] += 1
        return {"image": painted(np.eye(3)[shown % 3], seed=int(abs(latent[0, 0]) * 1e6))}


@pytest.fixture
def judge():
    with Painter(identity, DOMAINS) as runtime:
        yield Judge.of(runtime)


def measured(judge, *, count=60, classes=NAMES, photos=(), **how):
    labels = np.eye(3, dtype=np.float32)[list(photos)].reshape(-1, 3)
    around = Surroundings(photos=photo_set(labels, DOMAINS), judge=judge)
    with Sampler(**how) as runtime:
        found = measure_samples(runtime, classes, count, 0, around)
    names = classes or (SAMPLE,)
    return summarise(found.values, names, Bootstrap(count), found.confusions), found


def test_a_model_that_makes_what_is_asked_for_agrees(judge):
    found, raw = measured(judge, photos=[0, 1, 2, 2])
    assert raw.num_images == 60
    assert found.judge.accuracy.value == 1
    assert {name: a.accuracy.num for name, a in found.judge.attributes.items()} == dict.fromkeys(
        NAMES, 20
    )
    assert np.allclose(found.judge.confusion.shares, np.eye(3))
    assert raw.sets["judge on real images: accuracy"].value == 1


def test_lies_are_counted(judge):
    found, _ = measured(judge, lies=4)
    assert found.judge.accuracy.value == pytest.approx(0.75)
    assert found.judge.accuracy.low < 0.75 < found.judge.accuracy.high


def test_without_classes_the_share_of_clear_images_is_told(judge):
    found, raw = measured(judge, classes=(), has_classes=False)
    assert found.judge.accuracy is None
    assert found.judge.sure.num == 60
    assert found.judge.confusion.shares == ((1.0, 0.0, 0.0),)
    assert not raw.sets


def test_a_judge_of_other_classes_is_refused(judge):
    with pytest.raises(LabelError, match="unknown attribute '7'"):
        measured(judge, classes=("7", "Male", "Young"))
