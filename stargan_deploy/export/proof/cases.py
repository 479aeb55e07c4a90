"""What an artefact is tried on: faces, valid targets, latents, in several batches and sizes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import Dim, EntryPoint, ModelCard, TensorSpec
from stargan_deploy.card.labels import FloatArray, LabelSpace
from stargan_deploy.errors import ExportError
from stargan_deploy.export.proof.images import Faces, synthetic_face
from stargan_deploy.files.images import Pixels, pixels_to_tensor

SMALL_BATCHES = (1, 3)
"""One image, and an odd batch, at the size of training."""

LARGEST_BATCH = 16
"""The third batch, where the graph sets no limit: as many as `batch` runs at a time."""

OTHER_SIZE_BATCH = 2
"""Images of the second size, which is not square: a baked size and swapped sides show there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A batch of faces with their targets, and where it came from."""

    name: str
    """Such as "batch 3 at 64x64" (height x width)."""
    pixels: Pixels
    """(N, H, W, 3) in [0, 255]."""
    labels: FloatArray
    """(N, D) target labels; of a model that takes none, D is 0."""
    targets: tuple[str, ...]
    """The targets in words."""
    start: int = 0
    """Number of the first face, which decides what is drawn for the batch."""

    def inputs(self, point: EntryPoint) -> Mapping[str, npt.NDArray[Any]]:
        """The batch as an entry point takes it, by the names of its inputs.

        Raises:
            ExportError: an input of a kind that nobody knows how to fill.
        """
        return {spec.name: self._input(spec) for spec in point.inputs}

    def _input(self, spec: TensorSpec) -> npt.NDArray[Any]:
        if spec.kind == "image":
            return self.pixels if spec.dtype == "uint8" else pixels_to_tensor(self.pixels)
        if spec.kind == "label":
            return self.labels
        return draw_input(spec, len(self.pixels), seed=self.start)


def draw_input(spec: TensorSpec, num_rows: int, *, seed: int) -> npt.NDArray[Any]:
    """Rows of an input that is no picture: latents from N(0, 1), classes in turn, masks of halves.

    Raises:
        ExportError: an input of a kind that nobody knows how to fill.
    """
    random = np.random.default_rng([seed, num_rows, *spec.name.encode()])
    shape = (num_rows, *(dim if isinstance(dim, int) else dim.min for dim in spec.shape[1:]))
    if spec.kind == "latent":
        return random.standard_normal(shape, np.float32)
    if spec.kind == "mask":
        return (random.random(shape) < 0.5).astype(np.float32)
    if spec.kind == "class_index" and spec.value_range is not None:
        num_classes = int(spec.value_range[1]) + 1
        return np.arange(seed, seed + num_rows, dtype=np.int64) % num_classes
    raise ExportError(f"there is no way yet to prove an input of kind {spec.kind!r}")


def make_cases(point: EntryPoint, card: ModelCard, faces: Faces = synthetic_face) -> list[Case]:
    """The batches that an entry point is tried with, the largest last; no two use the same face."""
    height, width = _sides(point, card.preprocessing.image_size)
    size = card.preprocessing.image_size
    native = (_nearest(height, size), _nearest(width, size))
    largest = _largest_batch(point)
    shapes = [(batch, *native) for batch in SMALL_BATCHES if batch < largest]
    if isinstance(height, Dim) or isinstance(width, Dim):
        other = _second_size(height, width, native)
        shapes.append((min(OTHER_SIZE_BATCH, largest), *other))
    shapes.append((largest, *native))
    starts = [sum(batch for batch, *_ in shapes[:index]) for index in range(len(shapes))]
    pairs = zip(shapes, starts, strict=True)
    return [make_case(card.labels, shape, start, faces) for shape, start in pairs]


def make_case(
    labels: LabelSpace, shape: tuple[int, int, int], start: int, faces: Faces = synthetic_face
) -> Case:
    """A batch (N, height, width) of the faces and targets from number `start` on."""
    batch, height, width = shape
    numbers = range(start, start + batch)
    wishes = labels.single_targets()
    targets = [wishes[number % len(wishes)] for number in numbers] if wishes else []
    draws = np.random.default_rng([start, batch]).standard_normal((batch, labels.num_labels))
    pairs = zip(targets, labels.predicted(draws), strict=False)
    vectors = [labels.target_vector(target, source) for target, source in pairs]
    return Case(
        name=f"batch {batch} at {height}x{width}",
        pixels=np.stack([faces(number, height, width) for number in numbers]),
        labels=np.array(vectors, np.float32).reshape(batch, labels.label_width),
        targets=tuple(target.text for target in targets),
        start=start,
    )


def _largest_batch(point: EntryPoint) -> int:
    """The greatest batch that the first input allows; `LARGEST_BATCH` where there is no limit."""
    batch = point.inputs[0].shape[0]
    limit = batch if isinstance(batch, int) else batch.max
    return LARGEST_BATCH if limit is None else limit


def _sides(point: EntryPoint, default: int) -> tuple[int | Dim, int | Dim]:
    """Height and width of the first image input; `default` where there is none."""
    spec = point.input("image")
    if spec is None:
        return default, default
    return spec.shape[spec.layout.index("H")], spec.shape[spec.layout.index("W")]


def _second_size(height: int | Dim, width: int | Dim, native: tuple[int, int]) -> tuple[int, int]:
    """A lower and wider size, as far as the steps from one allowed size to the next let it be."""
    other = _nearest(height, native[0] * 3 // 4), _nearest(width, native[1] * 5 // 4)
    if other != native or isinstance(width, int):
        return other
    beside = (native[1] + width.multiple, native[1] - width.multiple)
    return native[0], next(filter(width.accepts, beside), native[1])


def _nearest(side: int | Dim, size: int) -> int:
    """The allowed size next to a wished one."""
    if isinstance(side, int):
        return side
    steps = max(-(-side.min // side.multiple), round(size / side.multiple))
    if side.max is not None:
        steps = min(steps, side.max // side.multiple)
    return steps * side.multiple
