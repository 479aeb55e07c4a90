"""Photos through the very pipeline of `batch`, with their images handed on instead of written.

The squares of a photo and of its translations are in memory for no longer than the pipeline and
one group take, so that memory does not grow with the number of photos.

Shapes: N photos of a group, T targets, S side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.batch.outcome import Outcome, WrittenImage
from stargan_deploy.batch.pipeline import Pipeline, Sink, Source, SourceImage
from stargan_deploy.batch.plan import BatchJob, ImageOptions, Photo
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.evaluation.photos.photo_set import PhotoSet
from stargan_deploy.files.images import Pixels
from stargan_deploy.files.metadata import Metadata
from stargan_deploy.inference.framing import WholePhoto
from stargan_deploy.inference.source_labels import LabelTable
from stargan_deploy.inference.targets import NamedTarget
from stargan_deploy.inference.translator import Translator

GROUP = 16
"""Photos that are measured together."""


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A group of photos with their translations."""

    places: tuple[int, ...]
    """Their places in the photo set."""
    photos: Pixels
    """(N, S, S, 3): what went in."""
    images: Pixels
    """(T, N, S, S, 3): what came out."""
    truths: Pixels | None
    """(N, S, S, 3): what should have come out, where it is known."""


@dataclass(kw_only=True)
class _Square:
    """A photo between decoding and measuring."""

    photo: Pixels
    truth: Pixels | None
    images: dict[int, Pixels]


@dataclass(frozen=True, kw_only=True)
class _Item(SourceImage):
    """One photo of a set."""

    desk: "Desk"
    place: int

    def decode(self) -> tuple[Image.Image, Metadata]:
        return Image.fromarray(self.desk.put(self.place)), Metadata()


class Desk(Source, Sink):
    """Both ends of the pipeline: photos leave it, and their images come back. Thread-safe.

    Args:
        photos: the photos.
        framing: how a photo becomes a square.
        has_truth: whether photos are pairs, whose other half is what should come out.
    """

    def __init__(self, photos: PhotoSet, framing: WholePhoto, *, has_truth: bool) -> None:
        self._photos, self._framing, self._has_truth = photos, framing, has_truth
        self._squares: dict[int, _Square] = {}

    def read(self, photo: Photo) -> _Item:
        """Name a photo; it is read when it is decoded."""
        place = int(photo.name.name)
        return _Item(content=b"", sha256="", desk=self, place=place)

    def put(self, place: int) -> Pixels:
        """Decode a photo, and keep its square until it is taken."""
        image = self._photos.load(place)
        truth = self._frame(image, self._other_half) if self._has_truth else None
        photo = self._frame(image, self._framing)
        self._squares[place] = _Square(photo=photo, truth=truth, images={})
        return photo

    def write(
        self,
        photo: Photo,
        index: int,
        image: Image.Image,
        metadata: Metadata,  # noqa: ARG002 - no file keeps it
    ) -> WrittenImage:
        """Keep a translation with its photo."""
        self._squares[int(photo.name.name)].images[index] = np.asarray(image)
        return WrittenImage(path=Path(), sha256="", size_bytes=0)

    def copy(self, photo: Photo, index: int) -> WrittenImage:
        """A photo without a face, which these framings do not know."""
        raise NotImplementedError

    def take(self, place: int) -> _Square | None:
        """A finished photo, which is forgotten here."""
        return self._squares.pop(place, None)

    @property
    def _other_half(self) -> WholePhoto:
        is_right = self._framing.condition == "right"
        return replace(self._framing, condition="left" if is_right else "right")

    @staticmethod
    def _frame(image: Image.Image, framing: WholePhoto) -> Pixels:
        tiles = framing.frame(image).tiles
        return tiles.reshape(tiles.shape[1:])


def translated(
    translator: Translator,
    targets: Sequence[NamedTarget],
    photos: PhotoSet,
    places: Sequence[int],
    labels: FloatArray | None,
) -> Iterator[Translated | Outcome]:
    """Translate photos of a set to all targets; yields groups, and the outcomes of failures.

    Args:
        translator: with an entered runtime that has a batch size, and an entry point.
        targets: what to translate to.
        photos: the set.
        places: which of its photos.
        labels: the whole set's own labels (P, K); None has the model predict them.

    Raises:
        BackendError: the runtime failed.
    """
    how = translator.card.preprocessing
    size = translator.image_size
    framing = WholePhoto(crop_size=how.crop_size, size=size, condition=how.condition)
    desk = Desk(photos, framing, has_truth="condition" in photos.source.panels)
    job = BatchJob(
        input=Path(),
        output=Path(),
        targets=tuple(targets),
        source="predict" if labels is None else _table(labels),
        options=ImageOptions(entry_point=translator.entry_point, size=size),
    )
    as_it_is = WholePhoto(crop_size=None, size=size)
    pipeline = Pipeline(job, translator, as_it_is, source=desk, sink=desk)
    waiting: list[tuple[int, _Square]] = []
    for outcome in pipeline.work(photos.photos[place] for place in places):
        place = int(outcome.photo.name.name)
        square = desk.take(place)
        if square is None or outcome.result != "translated":
            yield outcome
            continue
        waiting.append((place, square))
        if len(waiting) == GROUP:
            yield _stacked(waiting)
            waiting = []
    if waiting:
        yield _stacked(waiting)


def _table(labels_PK: FloatArray) -> LabelTable:
    rows = {str(place): row for place, row in enumerate(labels_PK)}
    return LabelTable(path=Path("the data set's labels"), rows=rows)


def _stacked(group: Sequence[tuple[int, _Square]]) -> Translated:
    squares = [square for _, square in group]
    images = [[square.images[t] for square in squares] for t in sorted(squares[0].images)]
    truths = [square.truth for square in squares if square.truth is not None]
    return Translated(
        places=tuple(place for place, _ in group),
        photos=np.stack([square.photo for square in squares]),
        images=np.array(images, np.uint8),
        truths=np.stack(truths) if truths else None,
    )
