"""Measures that cost another translation or a look at the face, taken of some of the photos.

A few hundred photos fix such a mean well, and measuring all would double the time of a large
evaluation. The photos are the same for every model.

Shapes: N photos of a group, T targets, S side.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.inputs import Row
from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.evaluation.meters.base import Found, Group, Meter, nothing
from stargan_deploy.evaluation.meters.pixels import mean_levels
from stargan_deploy.faces.alignment import AlignedFace
from stargan_deploy.faces.detection import FaceDetector
from stargan_deploy.faces.masks import head_mask
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.translator import Translator

NUM_CLOSER = 256
"""Photos that are looked at more closely."""

FACE_EVERY = 2
"""One in so many of these photos is searched for a face, which takes longer than a translation by a
small generator."""

LEAST_OUTSIDE = 0.05
"""Share of a photo that must lie outside the head to say anything about it."""


def closer_numbers(num_photos: int) -> dict[int, int]:
    """The photos to look at more closely, evenly spread: their numbers among these by place."""
    count = min(NUM_CLOSER, num_photos)
    return {int(n * num_photos / count): n for n in range(count)}


class Cycles(Meter):
    """Translates some translations back: each photo's to one target, in rotation.

    Args:
        translator: the model.
        targets: what photos are translated to.
        back: entry point that leads back; None where the same one does, with the photo's labels.
        closer: the photos that are looked at, as `closer_numbers` gives them.
    """

    def __init__(
        self,
        translator: Translator,
        targets: list[Target],
        back: str | None,
        closer: dict[int, int],
    ) -> None:
        self._translator, self._targets, self._back = translator, targets, back
        self._closer = closer

    def measure(self, group: Group) -> Found:
        """Values of `reconstruction`."""
        found, num_targets = nothing(group), len(self._targets)
        places = [(n, self._closer.get(place)) for n, place in enumerate(group.places)]
        pairs = [(number % num_targets, n) for n, number in places if number is not None]
        pairs = [(t, n) for t, n in pairs if np.isfinite(self._own(group, t, n)).all()]
        if not pairs:
            return {}
        rows = [self._row(group, t, n) for t, n in pairs]
        rebuilt = self._translator.translate_rows(rows, self._back)
        photos = group.photos[[n for _, n in pairs]]
        found[tuple(np.array(pairs).T)] = mean_levels(rebuilt, photos)
        return {"reconstruction": found}

    def _row(self, group: Group, t: int, n: int) -> Row:
        """A translation, and the photo's own labels to go back to."""
        card = self._translator.runtime.card
        point = card.entry_point(self._back or self._translator.entry_point)
        (image,), labels = point.inputs_of("image"), point.inputs_of("label")
        own = card.labels.embed(self._own(group, t, n), self._targets[t].set_index) if labels else 0
        return {image.name: group.images[t, n], **{spec.name: own for spec in labels}}

    def _own(self, group: Group, t: int, n: int) -> FloatArray:
        space: LabelSpace = self._translator.card.labels
        columns = space.slice_of(self._targets[t].set_index) if space.sets else slice(0)
        return np.asarray(group.own[n, columns])


class OutsideHead(Meter):
    """What changes outside head and hair, in photos in which a face is found.

    Args:
        find: finds the face of a square; None where there is none.
        closer: the photos that are looked at.
    """

    def __init__(
        self, find: Callable[[Pixels], AlignedFace | None], closer: dict[int, int]
    ) -> None:
        self._find, self._closer = find, closer

    def measure(self, group: Group) -> Found:
        """Values of `outside`."""
        found = nothing(group)
        for n, place in enumerate(group.places):
            is_due = self._closer.get(place, 1) % FACE_EVERY == 0
            face = self._find(group.photos[n]) if is_due else None
            if face is not None:
                found[:, n] = _levels_outside(face, group.images[:, n])
        return {"outside": found}


def face_finder(detector: FaceDetector) -> Callable[[Pixels], AlignedFace | None]:
    """Finds the largest face of a square."""

    def find(pixels: Pixels) -> AlignedFace | None:
        faces = detector.find(Image.fromarray(pixels))
        if not faces:
            return None
        matrix = np.eye(2, 3)
        return AlignedFace(pixels=pixels, matrix=matrix, landmarks=faces[0].landmarks)

    return find


def _levels_outside(face: AlignedFace, images_THWC: Pixels) -> npt.NDArray[np.float32]:
    """Mean differences (T,) outside the head in 8-bit levels; NaN where there is no outside."""
    weights = 1 - head_mask(face)
    if weights.mean() < LEAST_OUTSIDE:
        return np.full(len(images_THWC), np.nan, np.float32)
    differences = np.abs(images_THWC.astype(np.float32) - face.pixels).mean(axis=-1)
    levels: npt.NDArray[np.float32] = (differences * weights).sum(axis=(1, 2)) / weights.sum()
    return levels
