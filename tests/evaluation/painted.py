"""Photos whose colours are their labels, and models that paint them: nothing has to be learnt.

A square is one colour with a little noise; label k is on where channel k is bright. So a classifier
that compares the means of channels with the middle is always right.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import ModelCard, Preprocessing, new_entry_point
from stargan_deploy.card.labels import LabelSpace, multilabel_space
from stargan_deploy.card.tensors import image_spec, vector_spec
from stargan_deploy.data.source import SequenceSource
from stargan_deploy.devices import CPU
from stargan_deploy.evaluation.photos.photo_set import PhotoSet

SIZE = 16

NAMES = ("Male", "Smiling", "Young")

DARK, BRIGHT = 60, 200


def painted(labels_NK, *, seed: int = 0):
    """Squares (N, S, S, 3) with these labels."""
    noise = np.random.default_rng(seed).integers(-20, 21, (len(labels_NK), SIZE, SIZE, 3))
    levels = np.where(np.asarray(labels_NK)[:, None, None] > 0.5, BRIGHT, DARK)
    return (levels + noise).astype(np.uint8)


def photo_set(labels_NK, space: LabelSpace, *, with_labels: bool = True) -> PhotoSet:
    """Painted photos, with or without the labels that they have."""
    images = list(painted(labels_NK))
    source = (
        SequenceSource(images, labels_NK, label_space=space)
        if with_labels
        else SequenceSource(images)
    )
    return PhotoSet(source, range(len(images)))


def random_labels(count: int, *, seed: int = 3):
    """Independent labels (N, 3)."""
    return np.random.default_rng(seed).integers(0, 2, (count, 3)).astype(np.float32)


def ideal(images, labels):
    """Paints each label that is asked for, and keeps the rest."""
    bright = images.astype(np.int16) > (DARK + BRIGHT) // 2
    base = images.astype(np.int16) - np.where(bright, BRIGHT, DARK)
    return (base + np.where(labels[:, None, None, :3] > 0.5, BRIGHT, DARK)).astype(np.uint8)


def identity(images, labels):
    """Changes nothing."""
    return images


def inverted(images, labels):
    """Paints the opposite of what is asked for."""
    return ideal(images, 1 - labels)


class Painter(Runtime):
    """A model that paints with a function of images (N, S, S, 3) and labels (N, 3)."""

    backend = "painter"

    def __init__(
        self,
        paint: Callable,
        space: LabelSpace | None = None,
        *,
        classifier: bool = True,
        errors: float = 0.0,
    ) -> None:
        super().__init__(_card(space or multilabel_space(NAMES), classifier), batch_size=4)
        self._paint, self._errors = paint, errors

    @property
    def device(self):
        return CPU

    def _open(self):
        pass

    def _close(self):
        pass

    def _execute(self, entry_point, inputs):
        if entry_point == "classify":
            means = inputs["image"].mean(axis=(1, 2)) / 255 * 2 - 1
            lies = np.random.default_rng(inputs["image"].sum()).random(means.shape) < self._errors
            return {"logits": np.where(lies, -means, means).astype(np.float32)}
        return {"translated": self._paint(inputs["image"], inputs["label"])}


def _card(space: LabelSpace, classifier: bool) -> ModelCard:
    image, translated = (image_spec(n, SIZE, SIZE, io="uint8") for n in ("image", "translated"))
    label, logits = (vector_spec(n, n, len(space.names)) for n in ("label", "logits"))
    points = {"translate": new_entry_point([image, label], translated)}
    if classifier:
        points["classify"] = new_entry_point([image], logits)
    return ModelCard(
        family="painter",
        network={},
        weights="raw",
        step=0,
        labels=space,
        preprocessing=Preprocessing(image_size=SIZE),
        entry_points=points,
    )


NOWHERE = Path("painter.onnx")
