"""Translating images in memory, free of files.

Shapes: T targets, N images, S side of the model's images in pixels, D and K the widths of the
generator's label and of the classifier's output. Images enter and leave as pixels: RGB uint8 in
[0, 255]; what the engine itself wants is read off the card's tensor specs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import Dim, ModelCard
from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.errors import CardError, UsageError, unknown_name
from stargan_deploy.files.images import Pixels, prepare_photo, to_rgb
from stargan_deploy.inference.pixel_io import from_spec, to_spec
from stargan_deploy.inference.targets import depends_on_source

SourceOrigin = Literal["given", "predicted", "zeros", "unused"]

ROWS_A_CALL = 16
"""Rows handed to a runtime that has no batch size of its own; bounds the memory of one call."""


ZEROS_NOTE = (
    "this model has no classifier, so what the target does not name is taken as absent; "
    "name every attribute that matters"
)


@dataclass(frozen=True, kw_only=True)
class Translation:
    """Images translated to targets."""

    targets: tuple[Target, ...]
    pixels: Pixels
    """(T, N, S, S, 3) in [0, 255]: every image for the first target, then for the second, ..."""
    sources: FloatArray
    """The source labels (N, K) that were used; zeros where none were."""
    source_origin: SourceOrigin
    """Where they came from; "unused" where the targets do not depend on them, and "zeros" where
    they do, but none were given and the model has no classifier."""


class Translator:
    """Translates images with an opened runtime; free of files.

    Args:
        card: the model's card: its labels, crop and image size.
        runtime: an entered runtime with an entry point from images to images.
        classifier: an entered runtime with the entry point `classify`, which predicts source
            labels; None takes `runtime` if its model has one.
        image_size: side S of the images in pixels; None takes that of training.
        entry_point: what to do, as the card names it.

    Raises:
        UsageError: a size that the model's graph does not take.
    """

    def __init__(
        self,
        card: ModelCard,
        runtime: Runtime,
        classifier: Runtime | None = None,
        *,
        image_size: int | None = None,
        entry_point: str = "translate",
    ) -> None:
        self.card = card
        self.runtime = runtime
        self.entry_point = entry_point
        self.image_size = image_size or card.preprocessing.image_size
        """Side S of the images that come out, in pixels."""
        check_size(card, self.image_size, entry_point)
        if classifier is None and "classify" in runtime.card.entry_points:
            classifier = runtime
        self.classifier = classifier

    def prepare(self, image: Image.Image | Pixels) -> Pixels:
        """Crops and resizes one image to (S, S, 3), as the model's training did.

        Raises:
            UsageError: neither a PIL image nor an array that is uint8 RGB (H, W, 3).
        """
        photo = to_rgb(image) if isinstance(image, Image.Image) else _from_array(image)
        crop_size = self.card.preprocessing.crop_size
        return np.asarray(prepare_photo(photo, crop_size=crop_size, size=self.image_size))

    def translate(
        self,
        images: Sequence[Image.Image | Pixels],
        targets: Sequence[str | Target],
        sources: FloatArray | None = None,
    ) -> Translation:
        """Translates every image to every target; decoding and classifying happen once.

        Args:
            images: PIL images of any mode, or RGB arrays (H, W, 3) in [0, 255], of any size.
            targets: wishes in words, or parsed ones.
            sources: labels (N, K) of the images; None predicts them where a target needs them.

        Raises:
            LabelError: a target that the model does not know.
            UsageError: images or sources of the wrong shape.
        """
        prepared = [self.prepare(image) for image in images]
        square = (self.image_size, self.image_size, 3)
        pixels_NHWC = np.array(prepared, np.uint8).reshape(-1, *square)
        return self.translate_prepared(pixels_NHWC, targets, sources)

    def translate_prepared(
        self,
        pixels_NHWC: Pixels,
        targets: Sequence[str | Target],
        sources: FloatArray | None = None,
        strengths: Sequence[float] | None = None,
    ) -> Translation:
        """Like `translate`, for pixels (N, S, S, 3) that `prepare` has made.

        Args:
            pixels_NHWC: the images.
            targets: wishes in words, or parsed ones.
            sources: labels (N, K) of the images, or None.
            strengths: for each target, how far to go from the image's own labels (0) to the
                target's (1); None goes all the way.
        """
        space = self.card.labels
        parsed = tuple(space.parse(t) if isinstance(t, str) else t for t in targets)
        steps = [1.0] * len(parsed) if strengths is None else list(strengths)
        needed = any(s != 1 for s in steps) or any(depends_on_source(space, t) for t in parsed)
        labels_NK, origin = self._sources(pixels_NHWC, sources, needed=needed)
        pairs = zip(parsed, steps, strict=True)
        rows = [_label(space, t, own, strength) for t, strength in pairs for own in labels_NK]
        label_RD = np.array(rows, np.float32).reshape(len(rows), space.label_width)
        translated_RHWC = self._run_rows(pixels_NHWC, label_RD)
        shape = (len(parsed), *pixels_NHWC.shape)
        return Translation(
            targets=parsed,
            pixels=translated_RHWC.reshape(shape),
            sources=labels_NK,
            source_origin=origin,
        )

    def classify(self, pixels_NHWC: Pixels) -> FloatArray:
        """Predicts labels (N, K) of zeros and ones from prepared pixels (N, S, S, 3).

        Raises:
            UsageError: the model has no classifier.
        """
        if self.classifier is None:
            raise UsageError("this model has no classifier to predict labels with")
        point = self.classifier.card.entry_point("classify")
        pixels_NHWC = _at_size(pixels_NHWC, self.card.preprocessing.image_size)
        size = self.classifier.batch_size or ROWS_A_CALL
        logits = []
        for start in range(0, len(pixels_NHWC), size):
            image = to_spec(pixels_NHWC[start : start + size], point.inputs[0])
            outputs = self.classifier.run({point.inputs[0].name: image}, entry_point="classify")
            logits.append(outputs[point.outputs[0].name])
        return self.card.labels.predicted(np.concatenate(logits))

    def _sources(
        self, pixels_NHWC: Pixels, given: FloatArray | None, *, needed: bool
    ) -> tuple[FloatArray, SourceOrigin]:
        shape = (len(pixels_NHWC), self.card.labels.num_labels)
        if given is not None and given.shape != shape:
            raise UsageError(f"source labels must have the shape {shape}, not {given.shape}")
        if not needed:
            return np.zeros(shape, np.float32), "unused"
        if given is not None:
            return given, "given"
        if self.classifier is None or not len(pixels_NHWC):
            return np.zeros(shape, np.float32), "zeros"
        return self.classify(pixels_NHWC), "predicted"

    def _run_rows(self, pixels_NHWC: Pixels, label_RD: FloatArray) -> Pixels:
        """Runs row r = t * N + n of all pairs of target and image, batch by batch."""
        point = self.runtime.card.entry_point(self.entry_point)
        image_spec, label_spec = point.input("image"), point.input("label")
        if image_spec is None:
            raise CardError(f"{self.entry_point!r} of this model does not translate images")
        translated = np.empty((len(label_RD), *pixels_NHWC.shape[1:]), np.uint8)
        size = self.runtime.batch_size or ROWS_A_CALL
        for start in range(0, len(label_RD), size):
            labels = label_RD[start : start + size]
            images = pixels_NHWC[np.arange(start, start + len(labels)) % len(pixels_NHWC)]
            inputs = {image_spec.name: to_spec(images, image_spec)}
            if label_spec is not None:
                inputs[label_spec.name] = labels
            outputs = self.runtime.run(inputs, entry_point=self.entry_point)
            output = outputs[point.outputs[0].name]
            translated[start : start + len(labels)] = from_spec(output, point.outputs[0])
        return translated


def choose_direction(card: ModelCard, wish: str | None) -> str:
    """The entry point from images to images that is meant.

    Args:
        card: the model's.
        wish: its name; None takes the only one.

    Raises:
        UsageError: no such direction, none at all, or several and no wish.
    """
    known = [
        name
        for name, point in sorted(card.entry_points.items())
        if point.input("image") and point.makes_pictures and not point.is_stochastic
    ]
    if not known:
        raise UsageError(_why_no_direction(card))
    if wish is None and len(known) > 1:
        raise UsageError(f"this model goes {' and '.join(known)}: choose with --direction")
    if wish is not None and wish not in known:
        raise UsageError(unknown_name("direction", wish, known, where="this model"))
    return wish or known[0]


def _why_no_direction(card: ModelCard) -> str:
    points = sorted(card.entry_points.items())
    if any(point.input("image") and point.makes_pictures for _, point in points):
        return (
            "this model was exported with --stochastic and wants dropout's masks beside each "
            "image, which nobody draws here; export it without --stochastic to translate with it"
        )
    has = ", ".join(name for name, _ in points)
    return f"this model translates no images, it has {has}: see stargan-deploy sample"


def check_size(card: ModelCard, size: int, entry_point: str = "translate") -> None:
    """Refuses images of a side, in pixels, that a model's graph does not take, or does not make.

    Raises:
        UsageError: such a size.
    """
    point = card.entry_points.get(entry_point)
    if point is None:
        return
    verb = "takes" if point.input("image") else "makes"
    for side in point.sides:
        if side != size if isinstance(side, int) else not side.accepts(size):
            raise UsageError(f"this model {verb} no images of {size}x{size}, but {_sides(side)}")


def _sides(side: int | Dim) -> str:
    if isinstance(side, int):
        return f"{side}x{side}"
    limits = [f"from {side.min}"] + ([f"to {side.max}"] if side.max is not None else [])
    return f"sides {' '.join(limits)} that are multiples of {side.multiple}"


def _label(space: LabelSpace, target: Target, own: FloatArray, strength: float) -> FloatArray:
    """The label (D,) on the way from an image's own (K,) to the target's."""
    goal = space.target_vector(target, own)
    if strength == 1:
        return goal
    start = space.embed(own[space.slice_of(target.set_index)], target.set_index)
    return (start + np.float32(strength) * (goal - start)).astype(np.float32)


def _at_size(pixels_NHWC: Pixels, size: int) -> Pixels:
    """Images of another size resized, because a classifier knows only that of training."""
    if pixels_NHWC.shape[1:3] == (size, size) or not len(pixels_NHWC):
        return pixels_NHWC
    images = (Image.fromarray(pixels) for pixels in pixels_NHWC)
    return np.stack([np.asarray(i.resize((size, size), Image.Resampling.BILINEAR)) for i in images])


def _from_array(array: Pixels) -> Image.Image:
    fits = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] == 3
    if not fits or array.dtype != np.uint8 or not array.size:
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else repr(array)
        raise UsageError(f"an image is a PIL image or an RGB uint8 array (H, W, 3), not {what}")
    return Image.fromarray(array)
