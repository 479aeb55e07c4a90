"""A stand-in for a real engine, for the tests of whoever embeds this package; needs no torch.

    runtime = FakeRuntime(fake_card(("Black_Hair", "Blond_Hair")))

It answers at once and always the same: `translate` mixes into every pixel the mean of the colours
of the labels that are on, `classify` gives label k the mean of colour channel k modulo 3, from
-1 (black) to 1 (full).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Arrays, Runtime
from stargan_deploy.card.card import EntryPoint, ModelCard, Preprocessing, new_entry_point
from stargan_deploy.card.labels import LabelSpace, multilabel_space
from stargan_deploy.card.tensors import Dim, PixelIO, image_spec, vector_spec
from stargan_deploy.devices import CPU, Device

Array = npt.NDArray[Any]

TINT = 0.5
"""Share of the labels' colour in a translated pixel."""


class FakeRuntime(Runtime):
    """Arithmetic in place of a network; takes the cards that `fake_card` makes."""

    backend = "fake"

    @property
    def device(self) -> Device:
        """Always the CPU."""
        return CPU

    def _open(self) -> None:
        """Nothing to load."""

    def _close(self) -> None:
        """Nothing to release."""

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, Array]:
        spec = self.card.entry_point(entry_point).inputs[0]
        channels = spec.layout.index("C")
        low, high = spec.value_range or (0.0, 255.0)
        share_NHWC = (np.moveaxis(inputs["image"], channels, -1) - low) / (high - low)
        if entry_point == "classify":
            return {"logits": _logits(share_NHWC, self.card.labels.num_labels)}
        mixed_NHWC = share_NHWC * (1 - TINT) + TINT * _colours(inputs["label"])[:, None, None]
        values = np.moveaxis(mixed_NHWC * (high - low) + low, -1, channels)
        rounded = np.rint(values) if spec.dtype == "uint8" else values
        return {"translated": np.ascontiguousarray(rounded.astype(spec.dtype))}


def fake_card(
    attributes: tuple[str, ...] | LabelSpace = ("Black_Hair", "Blond_Hair", "Young"),
    *,
    image_size: int = 64,
    io: PixelIO = "uint8",
    classifier: bool = True,
    crop_size: int | None = None,
    training_data: str = "",
) -> ModelCard:
    """The card of a model that `FakeRuntime` plays.

    Args:
        attributes: names of CelebA-like attributes, or any label space.
        image_size: side of the images in pixels.
        io: "uint8" as NHWC pixels in [0, 255], "float" as NCHW in [-1, 1].
        classifier: whether the model has a `classify` entry point.
        crop_size: side of the centre crop of the training photos.
        training_data: what the model pretends to be trained on.
    """
    space = attributes if isinstance(attributes, LabelSpace) else multilabel_space(attributes)
    return ModelCard(
        family="fake",
        network={},
        weights="raw",
        step=0,
        labels=space,
        preprocessing=Preprocessing(image_size=image_size, crop_size=crop_size),
        entry_points=_entry_points(space, io, classifier),
        unverified="a stand-in without a network",
        training_data=training_data,
    )


def _entry_points(space: LabelSpace, io: PixelIO, classifier: bool) -> dict[str, EntryPoint]:
    sides = (Dim(symbol="height"), Dim(symbol="width"))
    image, translated = (image_spec(name, *sides, io=io) for name in ("image", "translated"))
    label = vector_spec("label", "label", space.label_width)
    points = {"translate": new_entry_point([image, label], translated)}
    if classifier:
        logits = vector_spec("logits", "logits", space.num_labels)
        points["classify"] = new_entry_point([image], logits)
    return points


def _colours(label_ND: Array) -> Array:
    """The mean colour (N, 3) in [0, 1] of the labels that are on; grey where none is."""
    palette = np.random.default_rng(0).random((label_ND.shape[1], 3))
    weight = label_ND.sum(axis=1, keepdims=True)
    mean: Array = label_ND @ palette / np.maximum(weight, 1)
    return np.where(weight > 0, mean, 0.5)


def _logits(share_NHWC: Array, num_labels: int) -> Array:
    means_N3 = share_NHWC.mean(axis=(1, 2)) * 2 - 1
    logits: Array = means_N3[:, np.arange(num_labels) % 3].astype(np.float32)
    return logits
