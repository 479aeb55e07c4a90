"""One model that makes images from noise, measured on images of numbered latents.

Image n of a seed comes from the same latent for every model, so that models are compared image by
image.

Shapes: P images in all, N images of a group, T classes, S side.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import SAMPLE
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.card.pixels import NOT_FINITE, NOT_FINITE_HINT, finite_rows, from_spec
from stargan_deploy.errors import ModelError
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.judge import Judge, Look
from stargan_deploy.evaluation.kinds.base import Measured, Surroundings
from stargan_deploy.evaluation.measures import JUDGE, key
from stargan_deploy.evaluation.meters.realism import ImageSets
from stargan_deploy.evaluation.photos.photo_set import PhotoSet
from stargan_deploy.evaluation.results import Confusion, Figure
from stargan_deploy.evaluation.statistics import Bootstrap
from stargan_deploy.files.images import Pixels, prepare_photo

GROUP = 64
"""Images that are made and judged together."""

SURE = 0.9
"""Probability of a class from which on a judge is sure."""

Integers = npt.NDArray[np.int64]


def measure_samples(
    runtime: Runtime, classes: Sequence[str], count: int, seed: int, around: Surroundings
) -> Measured:
    """Make images from noise and measure them.

    Args:
        runtime: entered, with a batch size.
        classes: names of the classes, which are made in turn; empty for a model without.
        count: number of images P.
        seed: decides the latents.
        around: real images and judge.

    Raises:
        LabelError: the judge does not know a class.
        ModelError: an image is not finite.
        BackendError: the runtime failed.
    """
    start_s = time.perf_counter()
    measured = Measured()
    seen = _Seen(around.judge, classes, count) if around.judge else None
    sets = {net: ImageSets(net.name, net.distance_name) for net in around.nets}
    for numbers, pixels_NHWC in sampled(runtime, count, seed):
        if seen is not None:
            seen.add(numbers, pixels_NHWC)
        for net, kept in sets.items():
            kept.add(real=("", None), made=("", net.features(pixels_NHWC)))
        measured.num_images += len(numbers)
        around.on_photos(len(numbers))
    if seen is not None:
        measured.values, measured.confusions[JUDGE] = seen.values(), seen.confusion()
        measured.sets |= real_figures(around, classes)
    _compare_sets(measured, sets, around.photos, runtime.card.preprocessing.image_size)
    measured.seconds = time.perf_counter() - start_s
    return measured


def _compare_sets(
    measured: Measured, sets: Mapping[FeatureNet, ImageSets], photos: PhotoSet, size: int
) -> None:
    """Compare images with real ones, each set by the features of a network."""
    for start in range(0, len(photos) if sets else 0, GROUP):
        places = range(start, min(start + GROUP, len(photos)))
        pixels_NHWC = np.stack([_square(photos.load(place), size) for place in places])
        for net, kept in sets.items():
            kept.add(real=("", net.features(pixels_NHWC)), made=("", None))
    for kept in sets.values():
        figures, notes = kept.figures()
        measured.sets |= figures
        measured.notes += notes


def sampled(runtime: Runtime, count: int, seed: int) -> Iterator[tuple[range, Pixels]]:
    """Numbers and images (N, S, S, 3), a group at a time.

    Raises:
        ModelError: an image is not finite.
    """
    point = runtime.card.entry_point(SAMPLE)
    for start in range(0, count, GROUP):
        numbers = range(start, min(start + GROUP, count))
        output = runtime.run(draw_inputs(point, numbers, seed=seed), entry_point=SAMPLE)
        values = output[point.outputs[0].name]
        if not finite_rows(values).all():
            raise ModelError(NOT_FINITE, hint=NOT_FINITE_HINT)
        yield numbers, from_spec(values, point.outputs[0])


class _Seen:
    """What the judge sees in all images."""

    def __init__(self, judge: Judge, classes: Sequence[str], count: int) -> None:
        self._judge, self._columns = judge, judge.columns(classes)
        num_rows = max(1, len(classes))
        self._right_TP = np.full((num_rows, count), np.nan, np.float32)
        self._sure_1P = np.full((1, count), np.nan, np.float32)
        self._seen_TJ = np.zeros((num_rows, len(judge.labels.names)))

    def add(self, numbers: range, pixels_NHWC: Pixels) -> None:
        """Look at a group."""
        look, rows = self._judge.look(pixels_NHWC), np.array(numbers)
        classes: Integers = rows % len(self._right_TP)
        if self._columns:
            right = look.labels[np.arange(len(rows)), np.array(self._columns)[classes]] > 0.5
            self._right_TP[classes, rows] = right
        self._sure_1P[0, rows] = sure(look)
        np.add.at(self._seen_TJ, classes, look.labels)

    def values(self) -> dict[str, FloatArray]:
        """Whether each image shows the class asked for, and whether the judge is sure of one."""
        found = {key(JUDGE, "sure"): self._sure_1P}
        return {key(JUDGE, "accuracy"): self._right_TP, **found} if self._columns else found

    def confusion(self) -> Confusion:
        """The share of images in which each class is seen, a row per class asked for."""
        shares = self._seen_TJ / np.maximum(1, self._seen_TJ.sum(axis=1, keepdims=True))
        rows = tuple(tuple(map(float, row)) for row in shares)
        return Confusion(meaning="seen", labels=self._judge.labels.names, shares=rows)


def sure(look: Look) -> FloatArray:
    """1 for images (N,) of whose class a judge is sure, else 0."""
    shifted = np.exp(look.logits - look.logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    found: FloatArray = (probabilities.max(axis=1) >= SURE).astype(np.float32)
    return found


def real_figures(around: Surroundings, classes: Sequence[str]) -> dict[str, Figure]:
    """How the judge does on real images: it can judge no better than that."""
    photos, judge = around.photos, around.judge
    if judge is None or not len(photos):
        return {}
    known = photos.labels(judge.labels)[:, judge.columns(classes)]
    right, is_sure = list[FloatArray](), list[FloatArray]()
    for start in range(0, len(photos), GROUP):
        places = range(start, min(start + GROUP, len(photos)))
        look = judge.look(np.stack([_square(photos.load(p), judge.image_size) for p in places]))
        seen = look.labels[:, judge.columns(classes)]
        right.append((seen == known[list(places)]).all(axis=1).astype(np.float32))
        is_sure.append(sure(look))
    found = {"judge on real images: sure": np.concatenate(is_sure)}
    if classes and np.isfinite(known).all():
        found["judge on real images: accuracy"] = np.concatenate(right)
    return {name: _share(values) for name, values in found.items()}


def _share(values_P: FloatArray) -> Figure:
    figure = Bootstrap(len(values_P)).means(values_P[None], is_share=True).interval()
    assert figure is not None
    return figure


def _square(image: Image.Image, size: int) -> Pixels:
    return np.asarray(prepare_photo(image, crop_size=None, size=size))
