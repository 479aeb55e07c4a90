"""Batches to try an artefact on: faces, valid targets and drawn inputs, in several sizes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.card.labels import FloatArray, LabelSpace
from stargan_deploy.card.pixels import Pixels
from stargan_deploy.card.tensors import ROWS_PER_CALL, TensorSpec, as_dim, second_size
from stargan_deploy.export.proof.images import Faces, synthetic_face

SMALL_BATCHES = (1, 3)
"""One image, and an odd batch, at the size of training."""

OTHER_SIZE_BATCH = 2
"""Images of the second size, which is not square: a baked size and swapped sides show there."""

FACES_APART = 7919
"""Distance between the numbers of the faces for one image input and for the next; a prime, so that
few folders of photos come round to the same one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A batch of faces with their targets, and where it came from."""

    name: str
    """Batch and size (height x width): "batch 3 at 64x64"."""
    pixels: Pixels
    """(N, H, W, 3) in [0, 255], for the first image input."""
    labels: FloatArray
    """(N, D) target labels; D is 0 where the model takes none."""
    targets: tuple[str, ...]
    """The targets in words."""
    start: int = 0
    """Number of the first face, which decides what is drawn for the batch."""
    faces: Faces = synthetic_face
    """Source of the images for further inputs."""

    def inputs(self, point: EntryPoint) -> Mapping[str, npt.NDArray[Any]]:
        """The batch as an entry point takes it, by the names of its inputs.

        Raises:
            CardError: an input of a kind that cannot be drawn.
        """
        numbers = range(self.start, self.start + len(self.pixels))
        return draw_inputs(point, numbers, images=self._images, labels=self.labels)

    def _images(self, place: int, spec: TensorSpec) -> Pixels:
        """The batch for one of the image inputs, each with faces of its own.

        In a folder of a single photo they still differ: by mirroring and turning it.
        """
        if place == 0:
            return self.pixels
        count, *size = self.pixels.shape[:3]
        height, width = (spec.dim(s).nearest(side) for s, side in zip("HW", size, strict=True))
        first = self.start + place * FACES_APART
        faces = _stacked(self.faces, range(first, first + count), height, width)
        mirrored = faces[:, :, ::-1] if place % 2 else faces
        return np.ascontiguousarray(mirrored[:, ::-1] if place % 4 > 1 else mirrored)


def make_cases(point: EntryPoint, card: ModelCard, faces: Faces = synthetic_face) -> list[Case]:
    """The batches that an entry point is tried with, the largest last; no two use the same face."""
    size = card.preprocessing.image_size
    height, width = next(iter(point.sizes), (as_dim(size), as_dim(size)))
    native = (height.nearest(size), width.nearest(size))
    largest = point.batch.greatest or ROWS_PER_CALL
    shapes = [(batch, *native) for batch in SMALL_BATCHES if batch < largest]
    if height.is_free or width.is_free:
        shapes.append((min(OTHER_SIZE_BATCH, largest), *second_size(height, width, native)))
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
    singles = labels.single_targets()
    targets = [singles[number % len(singles)] for number in numbers] if singles else []
    draws = np.random.default_rng([start, batch]).standard_normal((batch, labels.num_labels))
    pairs = zip(targets, labels.predicted(draws), strict=False)
    vectors = [labels.target_vector(target, source) for target, source in pairs]
    return Case(
        name=f"batch {batch} at {height}x{width}",
        pixels=_stacked(faces, numbers, height, width),
        labels=np.array(vectors, np.float32).reshape(batch, labels.label_width),
        targets=tuple(target.text for target in targets),
        start=start,
        faces=faces,
    )


def _stacked(faces: Faces, numbers: range, height: int, width: int) -> Pixels:
    return np.stack([faces(number, height, width) for number in numbers])
