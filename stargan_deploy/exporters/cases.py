"""What an artefact is tried on: synthetic faces and valid targets, in several batches and sizes."""

import dataclasses

import numpy as np
from PIL import Image

from stargan_deploy.card import Dim, EntryPoint, ModelCard
from stargan_deploy.data.portrait import draw_face
from stargan_deploy.data.synthetic import draw_attributes
from stargan_deploy.images import Pixels
from stargan_deploy.labels import FloatArray, LabelSpace

BATCH_SIZES = (1, 3)
"""One image, and an odd batch, at the size of training."""

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
    """(N, D) target labels."""
    targets: tuple[str, ...]
    """The targets in words."""


def make_cases(point: EntryPoint, card: ModelCard) -> list[Case]:
    """The batches that an entry point is tried with; no two hold the same face."""
    height, width = _sides(point, card.preprocessing.image_size)
    size = card.preprocessing.image_size
    native = (_nearest(height, size), _nearest(width, size))
    shapes = [(batch, *native) for batch in BATCH_SIZES]
    if isinstance(height, Dim) or isinstance(width, Dim):
        other = (_nearest(height, native[0] * 3 // 4), _nearest(width, native[1] * 5 // 4))
        shapes.append((OTHER_SIZE_BATCH, *other))
    starts = [sum(batch for batch, *_ in shapes[:index]) for index in range(len(shapes))]
    pairs = zip(shapes, starts, strict=True)
    return [_make_case(card.labels, shape, start) for shape, start in pairs]


def _make_case(labels: LabelSpace, shape: tuple[int, int, int], start: int) -> Case:
    """A batch of the faces and targets from number `start` on."""
    batch, height, width = shape
    numbers = range(start, start + batch)
    wishes = labels.single_targets()
    targets = [wishes[number % len(wishes)] for number in numbers]
    draws = np.random.default_rng([start, batch]).standard_normal((batch, labels.num_labels))
    sources = labels.predicted(draws)
    pairs = zip(targets, sources, strict=True)
    return Case(
        name=f"batch {batch} at {height}x{width}",
        pixels=np.stack([_face(number, height, width) for number in numbers]),
        labels=np.stack([labels.target_vector(target, source) for target, source in pairs]),
        targets=tuple(target.text for target in targets),
    )


def _face(seed: int, height: int, width: int) -> Pixels:
    face = draw_face(draw_attributes(seed), seed=seed, size=max(height, width))
    return np.asarray(face.resize((width, height), Image.Resampling.BILINEAR))


def _sides(point: EntryPoint, default: int) -> tuple[int | Dim, int | Dim]:
    """Height and width of the first image input; `default` where there is none."""
    spec = point.input("image")
    if spec is None:
        return default, default
    return spec.shape[spec.layout.index("H")], spec.shape[spec.layout.index("W")]


def _nearest(side: int | Dim, size: int) -> int:
    """The allowed size next to a wished one."""
    if isinstance(side, int):
        return side
    steps = max(-(-side.min // side.multiple), round(size / side.multiple))
    if side.max is not None:
        steps = min(steps, side.max // side.multiple)
    return steps * side.multiple
