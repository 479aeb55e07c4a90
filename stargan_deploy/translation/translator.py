"""Translating images in memory: `Translator`, and `load`, which is the public Python API.

Shapes: T targets, N images, S side of the model's images in pixels, D and K the widths of the
generator's label and of the classifier's output. Images enter and leave as pixels: RGB uint8 in
[0, 255]; what the engine itself wants is read off the card's tensor specs.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import numpy as np
from PIL import Image

from stargan_deploy.card import ModelCard
from stargan_deploy.errors import CardError, UsageError
from stargan_deploy.images import Pixels, prepare_photo, to_rgb
from stargan_deploy.labels import FloatArray, Target
from stargan_deploy.runtimes.base import Runtime
from stargan_deploy.translation.specs import from_spec, to_spec
from stargan_deploy.translation.targets import depends_on_source

SourceOrigin = Literal["given", "predicted", "zeros", "unused"]

ROWS_A_CALL = 16
"""Rows handed to a runtime that has no batch size of its own; bounds the memory of one call."""


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
        runtime: an entered runtime with the entry point `translate`.
        classifier: an entered runtime with the entry point `classify`, which predicts source
            labels; None takes `runtime` if its model has one.
    """

    def __init__(
        self, card: ModelCard, runtime: Runtime, classifier: Runtime | None = None
    ) -> None:
        self.card = card
        self.runtime = runtime
        if classifier is None and "classify" in runtime.card.entry_points:
            classifier = runtime
        self.classifier = classifier

    @property
    def image_size(self) -> int:
        """Side S of the images that come out, in pixels."""
        return self.card.preprocessing.image_size

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
    ) -> Translation:
        """Like `translate`, for pixels (N, S, S, 3) that `prepare` has made."""
        space = self.card.labels
        parsed = tuple(space.parse(t) if isinstance(t, str) else t for t in targets)
        labels_NK, origin = self._sources(pixels_NHWC, parsed, sources)
        rows = [space.target_vector(t, own) for t in parsed for own in labels_NK]
        label_RD = np.array(rows, np.float32).reshape(-1, space.label_width)
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
        size = self.classifier.batch_size or ROWS_A_CALL
        logits = []
        for start in range(0, len(pixels_NHWC), size):
            image = to_spec(pixels_NHWC[start : start + size], point.inputs[0])
            outputs = self.classifier.run({point.inputs[0].name: image}, entry_point="classify")
            logits.append(outputs[point.outputs[0].name])
        return self.card.labels.predicted(np.concatenate(logits))

    def _sources(
        self, pixels_NHWC: Pixels, targets: Sequence[Target], given: FloatArray | None
    ) -> tuple[FloatArray, SourceOrigin]:
        shape = (len(pixels_NHWC), self.card.labels.num_labels)
        if given is not None and given.shape != shape:
            raise UsageError(f"source labels must have the shape {shape}, not {given.shape}")
        if not any(depends_on_source(self.card.labels, target) for target in targets):
            return np.zeros(shape, np.float32), "unused"
        if given is not None:
            return given, "given"
        if self.classifier is None or not len(pixels_NHWC):
            return np.zeros(shape, np.float32), "zeros"
        return self.classify(pixels_NHWC), "predicted"

    def _run_rows(self, pixels_NHWC: Pixels, label_RD: FloatArray) -> Pixels:
        """Runs row r = t * N + n of all pairs of target and image, batch by batch."""
        point = self.runtime.card.entry_point("translate")
        image_spec, label_spec = point.input("image"), point.input("label")
        if image_spec is None or label_spec is None:
            raise CardError("this model does not translate images by labels")
        translated = np.empty((len(label_RD), *pixels_NHWC.shape[1:]), np.uint8)
        size = self.runtime.batch_size or ROWS_A_CALL
        for start in range(0, len(label_RD), size):
            labels = label_RD[start : start + size]
            images = pixels_NHWC[np.arange(start, start + len(labels)) % len(pixels_NHWC)]
            inputs = {image_spec.name: to_spec(images, image_spec), label_spec.name: labels}
            output = self.runtime.run(inputs)[point.outputs[0].name]
            translated[start : start + len(labels)] = from_spec(output, point.outputs[0])
        return translated


class Model:
    """A model ready to translate; what `load` returns.

    The engine is opened by the first translation and closed by `close`, or at the end of a `with`
    block; it serves one thread at a time.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._translator: Translator | None = None

    @property
    def card(self) -> ModelCard:
        """Everything that is known about the model."""
        return self._runtime.card

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that a target may use."""
        return self.card.labels.names

    @overload
    def translate(self, image: Image.Image, target: str) -> Image.Image: ...

    @overload
    def translate(self, image: Pixels, target: str) -> Pixels: ...

    @overload
    def translate(
        self, image: Sequence[Image.Image | Pixels], target: str
    ) -> list[Image.Image | Pixels]: ...

    def translate(
        self, image: Image.Image | Pixels | Sequence[Image.Image | Pixels], target: str
    ) -> Image.Image | Pixels | list[Image.Image | Pixels]:
        """Translates one image or several.

        The centre square of an image is taken, and the result has the size that the model was
        trained at. What the target does not name stays as the model's classifier sees it.

        Args:
            image: a PIL image; an RGB uint8 array (H, W, 3), or a batch (N, H, W, 3), in
                [0, 255]; or a list of PIL images and arrays.
            target: such as `Blond_Hair`, `Blond_Hair,Young`, `-Male`, `flip:Smiling`.

        Returns:
            The same kind of thing that went in.

        Raises:
            LabelError: a target that the model does not know.
            UsageError: neither a PIL image nor an array that is uint8 RGB.
        """
        if isinstance(image, Image.Image):
            return Image.fromarray(self._translate([image], target)[0])
        if isinstance(image, np.ndarray):
            results = self._translate(list(image) if image.ndim == 4 else [image], target)
            return results if image.ndim == 4 else results[0]
        if not isinstance(image, Sequence) or isinstance(image, str):
            image = [image]  # which is refused with a proper message
        pairs = zip(image, self._translate(image, target), strict=True)
        return [Image.fromarray(p) if isinstance(i, Image.Image) else p for i, p in pairs]

    def close(self) -> None:
        """Lets go of the engine; the next translation would open it again."""
        if self._translator is not None:
            self._translator = None
            self._runtime.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _translate(self, images: Sequence[Image.Image | Pixels], target: str) -> Pixels:
        if self._translator is None:
            self._runtime.__enter__()
            self._translator = Translator(self.card, self._runtime)
        result = self._translator.translate(images, [target])
        if result.source_origin == "zeros" and len(images):
            warnings.warn(ZEROS_NOTE, stacklevel=3)
        pixels: Pixels = result.pixels[0]
        return pixels


ZEROS_NOTE = (
    "this model has no classifier, so what the target does not name is taken as absent; "
    "name every attribute that matters"
)


def load(path: str | Path, *, backend: str = "auto", device: str | None = None) -> Model:
    """Loads a model for use in Python.

        picture = stargan_deploy.load("model.onnx").translate(photo, "Blond_Hair")

    Args:
        path: an exported artefact or a checkpoint of this tool.
        backend: "auto", "eager" or "onnx".
        device: "cpu", "cuda", "cuda:N" or "mps"; None takes a usable GPU, else the CPU.

    Raises:
        ModelError: no such file, or not a model of this tool.
        BackendError: a backend or device that is not usable here.
    """
    from stargan_deploy.runtimes.choose import open_runtime

    return Model(open_runtime(Path(path), backend=backend, device=device))


def _from_array(array: Pixels) -> Image.Image:
    fits = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] == 3
    if not fits or array.dtype != np.uint8 or not array.size:
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else repr(array)
        raise UsageError(f"an image is a PIL image or an RGB uint8 array (H, W, 3), not {what}")
    return Image.fromarray(array)
