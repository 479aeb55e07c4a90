"""Translating images in memory, free of files.

Shapes: T targets, N images, S side of the model's images in pixels, D and K the widths of the
generator's label and of the classifier's output. Images enter and leave as pixels: RGB uint8 in
[0, 255]; the form that the engine takes follows from the card's tensor specs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.inputs import Row, stack_rows
from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.card.pixels import (
    NOT_FINITE,
    NOT_FINITE_HINT,
    finite_rows,
    from_spec,
    to_spec,
)
from stargan_deploy.card.styles import style_route
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.errors import CardError, ModelError, UsageError, unknown_name
from stargan_deploy.files.colours import ValueRange
from stargan_deploy.files.images import Pixels, half_of_pair, prepare_photo, resized, to_rgb
from stargan_deploy.inference.targets import depends_on_source

Flags = npt.NDArray[np.bool_]

SourceOrigin = Literal["given", "predicted", "zeros", "unused"]


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
    """The source labels (N, K) that were used; zeros if none were."""
    source_origin: SourceOrigin
    """Where they came from; "unused" if the targets do not depend on them, "zeros" if they do, but
    none were given and the model has no classifier."""
    is_finite: Flags
    """Whether everything the model gave for an image (N,) was finite; other pixels mean nothing."""
    is_already: Flags
    """Whether an image has what a target asks for already (T, N), as far as its labels are known:
    no strength changes it then."""

    def check_finite(self) -> None:
        """Refuse results that are NaN or infinite.

        Raises:
            ModelError: there are some.
        """
        _check_finite(self.is_finite)


class Translator:
    """Translates images with an opened runtime; free of files.

    Args:
        card: the model's card: its labels, crop and image size.
        runtime: an entered runtime with an entry point from images to images.
        classifier: an entered runtime with the entry point `classify`, to predict source labels;
            None takes `runtime` if its model has one.
        image_size: side S of the images in pixels; None takes the size of training.
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
        """Crops and resizes one image to (S, S, 3), as in training.

        Raises:
            UsageError: neither a PIL image nor an array that is uint8 RGB (H, W, 3).
        """
        how = self.card.preprocessing
        photo = half_of_pair(as_photo(image, how.value_range), how.condition, how.pair_ratio)
        return np.asarray(prepare_photo(photo, crop_size=how.crop_size, size=self.image_size))

    def translate(
        self,
        images: Sequence[Image.Image | Pixels],
        targets: Sequence[str | Target],
        sources: FloatArray | None = None,
    ) -> Translation:
        """Translates every image to every target; decoding and classifying happen once.

        Args:
            images: PIL images of any mode, or RGB arrays (H, W, 3) in [0, 255], of any size.
            targets: targets in words, or parsed ones.
            sources: labels (N, K) of the images; None predicts them where a target needs them.

        Raises:
            LabelError: a target that the model does not know.
            UsageError: images or sources of the wrong shape.
            ModelError: the model's result is not finite.
        """
        prepared = [self.prepare(image) for image in images]
        square = (self.image_size, self.image_size, 3)
        pixels_NHWC = np.array(prepared, np.uint8).reshape(-1, *square)
        translation = self.translate_prepared(pixels_NHWC, targets, sources)
        translation.check_finite()
        return translation

    def translate_prepared(
        self,
        pixels_NHWC: Pixels,
        targets: Sequence[str | Target],
        sources: FloatArray | None = None,
        strengths: Sequence[float] | None = None,
    ) -> Translation:
        """Like `translate`, for pixels (N, S, S, 3) made by `prepare`; flags what is not finite.

        At strength 0 an image stays as it is, pixel by pixel. The strengths up to 1 lead from there
        to the target, so what the generator changes without being asked fades in with them.

        Args:
            pixels_NHWC: the images.
            targets: targets in words, or parsed ones.
            sources: labels (N, K) of the images, or None.
            strengths: per target, the position between the image's own labels (0) and the target's
                (1); None is 1 for all.
        """
        space = self.card.labels
        parsed = tuple(space.parse(t) if isinstance(t, str) else t for t in targets)
        steps = [1.0] * len(parsed) if strengths is None else list(strengths)
        needed = any(s != 1 for s in steps) or any(depends_on_source(space, t) for t in parsed)
        labels_NK, origin, is_finite_N = self._sources(pixels_NHWC, sources, needed=needed)
        pairs = list(zip(parsed, steps, strict=True))
        requests = [(t, s) for t, s in pairs if s > 0]
        requests += {t.set_index: (t, 0.0) for t, s in requests if s < 1}.values()
        goals_R = [[_label(space, t, own, s) for own in labels_NK] for t, s in requests]
        made_RN, is_finite_RN = self._run_labels(pixels_NHWC, goals_R)
        starts = {t.set_index: m for (t, s), m in zip(requests, made_RN, strict=True) if s == 0}
        made = iter(made_RN)
        pixels = [
            pixels_NHWC if s == 0 else _faded(pixels_NHWC, starts.get(t.set_index), next(made), s)
            for t, s in pairs
        ]
        is_known = origin in ("given", "predicted")
        return Translation(
            targets=parsed,
            pixels=np.array(pixels, np.uint8).reshape(len(parsed), *pixels_NHWC.shape),
            sources=labels_NK,
            source_origin=origin,
            is_finite=is_finite_N & is_finite_RN.all(axis=0),
            is_already=np.array(
                [[is_known and _is_already(space, t, own) for own in labels_NK] for t in parsed],
                np.bool_,
            ).reshape(len(parsed), len(labels_NK)),
        )

    def translate_rows(
        self, rows: Sequence[Row], entry_point: str | None = None
    ) -> npt.NDArray[Any]:
        """Runs rows that may each ask for something else: another label, style, reference.

            translator.translate_rows(
                [{"image": photo, "style": happy}, {"image": other, "style": sad}],
                entry_point="restyle",
            )

        Args:
            rows: one value per input that the card lists: images as pixels (H, W, 3) in [0, 255],
                all of one size; labels, latents, styles and masks as arrays; classes as numbers.
            entry_point: what to do, as the card names it; None takes the translator's own.

        Returns:
            The first output, a row each: pixels (N, H, W, 3) in [0, 255], or vectors (N, width).

        Raises:
            UsageError: no rows, inputs that are missing or unknown, or values that do not fit.
            CardError: no such entry point.
            ModelError: the model's result is not finite.
        """
        found, is_finite_N = self._run_rows(rows, entry_point)
        _check_finite(is_finite_N)
        return found

    def _run_rows(
        self, rows: Sequence[Row], entry_point: str | None = None
    ) -> tuple[npt.NDArray[Any], Flags]:
        """The first output, a row each, and whether each row is finite."""
        name = entry_point or self.entry_point
        point = self.runtime.card.entry_point(name)
        if not rows:
            raise UsageError("there are no rows to run")
        size = self.runtime.batch_size or ROWS_PER_CALL
        spec, parts, flags = point.outputs[0], [], []
        for start in range(0, len(rows), size):
            inputs = stack_rows(name, point, rows[start : start + size])
            output = self.runtime.run(inputs, entry_point=name)[spec.name]
            flags.append(finite_rows(output))
            parts.append(from_spec(output, spec) if spec.kind == "image" else output)
        return np.concatenate(parts), np.concatenate(flags)

    def _run_labels(
        self, pixels_NHWC: Pixels, goals: Sequence[Sequence[FloatArray]]
    ) -> tuple[Pixels, Flags]:
        """Images (R, N, S, S, 3) by request, then by image, and whether each (R, N) is finite."""
        shape = (len(goals), len(pixels_NHWC))
        rows = self._rows(pixels_NHWC, [label for labels_N in goals for label in labels_N])
        if not rows:
            return np.empty((*shape, *pixels_NHWC.shape[1:]), np.uint8), np.ones(shape, np.bool_)
        made, is_finite = self._run_rows(rows)
        return made.reshape(*shape, *pixels_NHWC.shape[1:]), is_finite.reshape(shape)

    def classify(self, pixels_NHWC: Pixels) -> FloatArray:
        """Predicts labels (N, K) of zeros and ones from prepared pixels (N, S, S, 3).

        Raises:
            UsageError: the model has no classifier.
            ModelError: its result is not finite.
        """
        labels_NK, is_finite_N = self._classify(pixels_NHWC)
        _check_finite(is_finite_N)
        return labels_NK

    def _classify(self, pixels_NHWC: Pixels) -> tuple[FloatArray, Flags]:
        """Labels (N, K), and whether each row of logits is finite."""
        if self.classifier is None:
            raise UsageError("this model has no classifier to predict labels with")
        point = self.classifier.card.entry_point("classify")
        side = self.card.preprocessing.image_size  # the only one that a classifier takes
        pixels_NHWC = resized(pixels_NHWC, side, side)
        size = self.classifier.batch_size or ROWS_PER_CALL
        logits = []
        for start in range(0, len(pixels_NHWC), size):
            image = to_spec(pixels_NHWC[start : start + size], point.inputs[0])
            outputs = self.classifier.run({point.inputs[0].name: image}, entry_point="classify")
            logits.append(outputs[point.outputs[0].name])
        logits_NK = np.concatenate(logits)
        return self.card.labels.predicted(logits_NK), finite_rows(logits_NK)

    def _sources(
        self, pixels_NHWC: Pixels, given: FloatArray | None, *, needed: bool
    ) -> tuple[FloatArray, SourceOrigin, Flags]:
        """Labels (N, K), their origin, and whether they (N,) come of finite numbers."""
        is_finite = np.ones(len(pixels_NHWC), np.bool_)
        shape = (len(pixels_NHWC), self.card.labels.num_labels)
        if given is not None and given.shape != shape:
            raise UsageError(f"source labels must have the shape {shape}, not {given.shape}")
        if not needed:
            return np.zeros(shape, np.float32), "unused", is_finite
        if given is not None:
            return given, "given", is_finite
        if self.classifier is None or not len(pixels_NHWC):
            return np.zeros(shape, np.float32), "zeros", is_finite
        labels_NK, is_finite = self._classify(pixels_NHWC)
        return labels_NK, "predicted", is_finite

    def _rows(self, pixels_NHWC: Pixels, goals: Sequence[FloatArray]) -> list[Row]:
        """Row r = t * N + n for all pairs of request and image."""
        point = self.runtime.card.entry_point(self.entry_point)
        if not is_direct(point):
            raise CardError(f"{self.entry_point!r} {_needs(point)}")
        (image,), labels = point.inputs_of("image"), point.inputs_of("label")
        return [
            {image.name: pixels_NHWC[r % len(pixels_NHWC)], **{spec.name: row for spec in labels}}
            for r, row in enumerate(goals)
        ]


def as_photo(image: Image.Image | Pixels, value_range: ValueRange | None = None) -> Image.Image:
    """An image or array as an RGB image.

    Args:
        image: a PIL image of any mode, or an RGB array.
        value_range: as `to_rgb` takes it.

    Raises:
        UsageError: neither a PIL image nor an array that is uint8 RGB (H, W, 3).
        ImageError: values of a deep image beyond the range of its type.
    """
    if isinstance(image, Image.Image):
        return to_rgb(image, value_range)
    return _from_array(image)


def is_direct(point: EntryPoint) -> bool:
    """Whether an entry point makes an image of an image and at most a label."""
    return point.makes_images and bool(point.inputs_of("image")) and not point.further_inputs


def choose_direction(card: ModelCard, wanted: str | None) -> str:
    """The entry point from images to images that is meant; of a model with styles, in a style.

    Args:
        card: the model's.
        wanted: its name; None takes the only one.

    Raises:
        UsageError: no such direction, none at all, several and no name, or one that needs more
            than an image and a label.
    """
    route = style_route(card)
    if route is not None and wanted in (None, route.translate):
        return route.translate
    points = dict(sorted(card.entry_points.items()))
    known = [name for name, point in points.items() if is_direct(point)]
    if wanted in known:
        return str(wanted)
    if wanted in points:
        raise UsageError(f"{wanted!r} {_needs(points[str(wanted)])}", hint=_ROWS_HINT)
    if not known:
        raise _no_direction(points)
    if wanted is not None:
        raise UsageError(unknown_name("direction", wanted, known, where="this model"))
    if len(known) > 1:
        raise UsageError(f"this model goes {' and '.join(known)}", hint="choose with `direction`")
    return known[0]


_ROWS_HINT = "give them by rows, with `Translator.translate_rows`"


def _needs(point: EntryPoint) -> str:
    """Why an entry point cannot translate images given only a label, as a predicate."""
    if not point.makes_images:
        return f"makes no images but {point.outputs[0].kind}"
    if not point.inputs_of("image"):
        return "translates no images"
    needed = " and ".join(f"{spec.name!r} ({spec.kind})" for spec in point.further_inputs)
    return f"needs {needed} with each image"


def _no_direction(points: Mapping[str, EntryPoint]) -> UsageError:
    making = {name: p for name, p in points.items() if p.inputs_of("image") and p.makes_images}
    if any(point.is_stochastic for point in making.values()):
        return UsageError(
            "this model was exported with `stochastic` and takes dropout masks as inputs, which "
            "are not supplied here",
            hint="export it without `stochastic`",
        )
    if making:
        needs = "; ".join(f"{name!r} {_needs(point)}" for name, point in making.items())
        return UsageError(f"no entry point takes an image alone: {needs}", hint=_ROWS_HINT)
    if not any(point.makes_images for point in points.values()):
        return UsageError(
            f"this model makes no images, it has {', '.join(points)}",
            hint="give one that translates; in Python, `load(...).classify(image)` asks this one",
        )
    return UsageError(
        f"this model translates no images, it has {', '.join(points)}",
        hint="for images from noise: stargan-deploy sample",
    )


def check_size(card: ModelCard, size: int, entry_point: str = "translate") -> None:
    """Refuses a side of images, in pixels, that a model's graph does not take, or does not make.

    Raises:
        UsageError: such a size.
    """
    point = card.entry_points.get(entry_point)
    if point is None:
        return
    verb = "takes" if point.inputs_of("image") else "makes"
    for dim in (dim for image in point.sizes for dim in image):
        if not dim.accepts(size):
            sides = f"sides {dim.describe()}" if dim.is_free else f"{dim.least}x{dim.least}"
            raise UsageError(f"this model {verb} no images of {size}x{size}, but {sides}")


def _label(space: LabelSpace, target: Target, own: FloatArray, strength: float) -> FloatArray:
    """The label (D,) between an image's own (K,) and the target's."""
    goal = space.target_vector(target, own)
    if strength == 1:
        return goal
    start = space.embed(own[space.slice_of(target.set_index)], target.set_index)
    return (start + np.float32(strength) * (goal - start)).astype(np.float32)


def _is_already(space: LabelSpace, target: Target, own: FloatArray) -> bool:
    """Whether an image's own labels (K,) are those that a target leads to."""
    if not space.sets:
        return False
    return np.array_equal(_label(space, target, own, 1.0), _label(space, target, own, 0.0))


def _faded(
    pixels_NHWC: Pixels, start_NHWC: Pixels | None, made_NHWC: Pixels, strength: float
) -> Pixels:
    """Images made at a strength, less the share of what is changed even for the own labels."""
    if strength >= 1 or start_NHWC is None:
        return made_NHWC
    unasked = start_NHWC.astype(np.float32) - pixels_NHWC
    levels = np.rint(made_NHWC - (1 - strength) * unasked)
    return levels.clip(0, 255).astype(np.uint8)


def _check_finite(is_finite_N: Flags) -> None:
    if not is_finite_N.all():
        raise ModelError(NOT_FINITE, hint=NOT_FINITE_HINT)


def _from_array(array: Pixels) -> Image.Image:
    fits = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] == 3
    if not fits or array.dtype != np.uint8 or not array.size:
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else repr(array)
        raise UsageError(f"an image is a PIL image or an RGB uint8 array (H, W, 3), not {what}")
    return Image.fromarray(array)
