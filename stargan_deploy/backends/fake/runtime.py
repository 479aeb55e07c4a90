"""A stand-in for a real engine, for the tests of whoever embeds this package; needs no torch.

    runtime = FakeRuntime(fake_card(("Black_Hair", "Blond_Hair")))

It answers at once and always the same: `translate` mixes into every pixel the mean of the colours
of the labels that are on, `classify` gives label k the mean of colour channel k modulo 3, from
-1 (black) to 1 (full).
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Arrays, Runtime
from stargan_deploy.card.card import Dim, EntryPoint, ModelCard, Preprocessing, TensorSpec
from stargan_deploy.card.labels import LabelSpace, multilabel_space

Array = npt.NDArray[Any]

TINT = 0.5
"""Share of the labels' colour in a translated pixel."""


class FakeRuntime(Runtime):
    """Arithmetic in place of a network; takes the cards that `fake_card` makes."""

    backend = "fake"

    @property
    def device(self) -> str:
        """Always the CPU."""
        return "cpu"

    def _open(self) -> None:
        """Nothing to load."""

    def _close(self) -> None:
        """Nothing to let go of."""

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
    io: Literal["uint8", "float"] = "uint8",
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


def _entry_points(space: LabelSpace, io: str, classifier: bool) -> dict[str, EntryPoint]:
    image = _image("image", io)
    points = {
        "translate": _point(
            image, _vector("label", "label", space.label_width), _image("translated", io)
        )
    }
    if classifier:
        points["classify"] = _point(image, _vector("logits", "logits", space.num_labels))
    return points


def _point(*specs: TensorSpec) -> EntryPoint:
    return EntryPoint(file="", payload_sha256="", inputs=specs[:-1], outputs=specs[-1:])


def _image(name: str, io: str) -> TensorSpec:
    batch, height, width = (Dim(symbol=symbol) for symbol in ("batch", "height", "width"))
    if io == "uint8":
        return TensorSpec(
            name=name,
            kind="image",
            dtype="uint8",
            layout="NHWC",
            shape=(batch, height, width, 3),
            value_range=(0.0, 255.0),
        )
    return TensorSpec(
        name=name,
        kind="image",
        dtype="float32",
        layout="NCHW",
        shape=(batch, 3, height, width),
        value_range=(-1.0, 1.0),
    )


def _vector(name: str, kind: Literal["label", "logits"], width: int) -> TensorSpec:
    layout = {"label": "ND", "logits": "NK"}[kind]
    shape = (Dim(symbol="batch"), width)
    return TensorSpec(name=name, kind=kind, dtype="float32", layout=layout, shape=shape)


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
