"""Photos through the network and into files, decoding, translating and writing side by side.

Threads decode the next photos and write the last ones while the calling thread translates. All
queues are bounded, so that memory does not grow with the number of photos. Every call of the
runtime is padded to one batch size, so that an image does not depend on its neighbours.

Shapes: W requests (targets, each at every strength), F tiles of a photo, N tiles of a call, S side.
"""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from stargan_deploy.batch.disk import is_disk_full
from stargan_deploy.batch.manifest.lines import Result
from stargan_deploy.batch.outcome import Outcome, WrittenImage
from stargan_deploy.batch.photos.photo_remarks import OF_ANY_FRAMING, Trait, photo_traits
from stargan_deploy.batch.plan import BatchJob, Photo
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.card.pixels import NOT_FINITE, NOT_FINITE_HINT
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.errors import DataError, OutputError
from stargan_deploy.files.images import Pixels
from stargan_deploy.files.metadata import Metadata
from stargan_deploy.inference.framing import Framed, Framing
from stargan_deploy.inference.source_labels import LabelTable
from stargan_deploy.inference.translator import Translator

MAX_THREADS = 4

MAX_HELD_BYTES = 1 << 29
"""Whole photos that may wait for their faces; above it, a call is made that is not full."""

NO_FACE = "no face was found"


@dataclass(frozen=True, kw_only=True)
class SourceImage(ABC):
    """One item of a source, read and not yet decoded."""

    content: bytes
    sha256: str
    """Digest of the content."""

    @abstractmethod
    def decode(self) -> tuple[Image.Image, Metadata]:
        """Return an upright RGB image and the metadata that its translations keep.

        Raises:
            DataError: it cannot be decoded.
        """


class Source(ABC):
    """Where a batch's images come from: files, frames, requests. Called from several threads."""

    @abstractmethod
    def read(self, photo: Photo) -> SourceImage:
        """Read one item.

        Raises:
            DataError: it cannot be read.
        """


class Sink(ABC):
    """Where a batch's images go. Called from several threads.

    Its methods raise OutputError or DataError for an image that cannot be written, which fails
    this photo, or ends the batch where the disk is full.
    """

    @abstractmethod
    def write(
        self, photo: Photo, index: int, image: Image.Image, metadata: Metadata
    ) -> WrittenImage:
        """Write the RGB image of a photo for target number `index`."""

    @abstractmethod
    def copy(self, photo: Photo, index: int) -> WrittenImage:
        """Write the photo itself in place of its image for target number `index`."""


@dataclass(kw_only=True)
class _Open:
    """A photo between decoding and writing."""

    photo: Photo
    sha256: str
    num_bytes: int
    metadata: Metadata
    framed: Framed
    source: FloatArray | None
    """Labels (K,) where they are given."""
    traits: tuple[Trait, ...]
    translated: list[Pixels] = field(default_factory=list)
    """(W, S, S, 3) of each tile that is done."""
    origin: str = "unused"
    is_finite: bool = True
    already: set[str] = field(default_factory=set)
    """Targets whose attributes a tile has already."""

    @property
    def is_done(self) -> bool:
        return len(self.translated) == len(self.framed.tiles)

    def outcome(
        self, result: Result, *, reason: str = "", images: Sequence[WrittenImage] = ()
    ) -> Outcome:
        return Outcome(
            photo=self.photo,
            result=result,
            reason=reason,
            input_sha256=self.sha256,
            input_bytes=self.num_bytes,
            images=tuple(images),
            traits=self.traits,
            already=tuple(sorted(self.already)),
            num_tiles=len(self.framed.tiles),
            source_origin=self.origin,
        )


class Pipeline:
    """Translates photos with one opened runtime.

    Args:
        job: targets and options for every photo.
        translator: translates with an entered runtime that has a batch size.
        framing: how photos become tiles.
        source: reads the photos.
        sink: takes the images.
    """

    def __init__(
        self,
        job: BatchJob,
        translator: Translator,
        framing: Framing,
        *,
        source: Source,
        sink: Sink,
    ) -> None:
        self._job = job
        self._translator = translator
        self._framing = framing
        self._source = source
        self._sink = sink
        self._batch_size = translator.runtime.batch_size or ROWS_PER_CALL
        strengths = job.options.strengths
        self._targets = [named.target for named in job.targets for _ in strengths]
        self._strengths = [strength for _ in job.targets for strength in strengths]

    def work(self, photos: Iterable[Photo]) -> Generator[Outcome, None, None]:
        """Translate photos; yields the outcome of each, roughly in their order.

        Raises:
            BackendError: the runtime failed.
            OutputError: the disk is full.
        """
        pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
        saving: deque[Future[Outcome]] = deque()
        try:
            for done in self._translated(_ahead(pool, self._open, photos, self._framing.num_ahead)):
                if isinstance(done, Outcome):
                    yield done
                    continue
                saving.append(pool.submit(self._save, done))
                while saving and (saving[0].done() or len(saving) > 2 * self._batch_size):
                    yield saving.popleft().result()
            while saving:
                yield saving.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _open(self, photo: Photo) -> _Open | Outcome:
        """Read, decode and cut one photo; runs in a thread."""
        file = None
        try:
            file = self._source.read(photo)
            image, metadata = file.decode()
            return _Open(
                photo=photo,
                sha256=file.sha256,
                num_bytes=len(file.content),
                metadata=metadata,
                framed=self._framing.frame(image),
                source=self._given_labels(photo),
                traits=self._traits(image),
            )
        except (DataError, MemoryError) as error:
            return Outcome(
                photo=photo,
                result="failed",
                reason=str(error) or type(error).__name__,
                input_sha256=file.sha256 if file else "",
                input_bytes=len(file.content) if file else 0,
            )

    def _traits(self, image: Image.Image) -> tuple[Trait, ...]:
        translator = self._translator
        traits = photo_traits(image, translator.card, translator.image_size)
        options = self._job.options
        is_cropped = options.faces is None and options.fit == "crop"
        named = set(traits) if is_cropped else set(traits) & OF_ANY_FRAMING
        hidden = {"larger"} if options.size == "photo" else set()
        return tuple(trait for trait in traits if trait in named - hidden)

    def _given_labels(self, photo: Photo) -> FloatArray | None:
        table = self._job.source
        if not isinstance(table, LabelTable):
            return None
        labels = table.find(photo.name)
        if labels is None:
            raise DataError(f"{photo.path} has no row in {table.path}")
        return labels

    def _translated(self, opened: Iterable[_Open | Outcome]) -> Iterator[_Open | Outcome]:
        """Fill calls of the runtime with tiles; yields photos whose tiles are all done."""
        waiting: deque[tuple[_Open, Pixels]] = deque()
        held_bytes = 0
        for item in opened:
            if isinstance(item, Outcome) or item.is_done:  # failed, or without a face
                yield item
                continue
            waiting += [(item, tile) for tile in item.framed.tiles]
            held_bytes += item.framed.held_bytes
            while len(waiting) >= self._batch_size or (waiting and held_bytes > MAX_HELD_BYTES):
                for done in self._call(waiting):
                    held_bytes -= done.framed.held_bytes
                    yield done
        while waiting:
            yield from self._call(waiting)

    def _call(self, waiting: deque[tuple[_Open, Pixels]]) -> list[_Open]:
        """Translate the first waiting tiles; returns the photos that this completes."""
        call = [waiting.popleft() for _ in range(min(self._batch_size, len(waiting)))]
        translation = self._translator.translate_prepared(
            np.stack([tile for _, tile in call]),
            self._targets,
            self._sources([item for item, _ in call]),
            self._strengths,
        )
        for index, (item, _) in enumerate(call):
            item.translated.append(translation.pixels[:, index])
            found = translation.source_origin
            item.origin = "zeros" if self._job.source == "zeros" and found == "given" else found
            item.is_finite &= bool(translation.is_finite[index])
            item.already.update(
                target.text
                for target, is_already in zip(
                    translation.targets, translation.is_already[:, index], strict=True
                )
                if is_already
            )
        return list({id(item): item for item, _ in call if item.is_done}.values())

    def _sources(self, items: Sequence[_Open]) -> FloatArray | None:
        """Given source labels (N, K), or None to have them predicted."""
        if self._job.source == "predict":
            return None
        nothing = np.zeros(self._translator.card.labels.num_labels, np.float32)
        return np.stack([nothing if item.source is None else item.source for item in items])

    def _save(self, item: _Open) -> Outcome:
        """Compose and write one photo's images; runs in a thread."""
        has_face = len(item.framed.tiles) > 0
        if not has_face and self._job.options.without_face == "skip":
            return item.outcome("skipped", reason=NO_FACE)
        if not item.is_finite:
            return item.outcome(
                "failed", reason=f"{item.photo.path}: {NOT_FINITE}; {NOT_FINITE_HINT}"
            )
        written: list[WrittenImage] = []
        try:
            for index in range(len(self._job.targets)):
                written.append(self._written(item, index, has_face=has_face))  # noqa: PERF401 - those before a failure count too
        except (OutputError, DataError) as error:
            if is_disk_full(error):  # every other photo would fail too
                raise
            return item.outcome("failed", reason=str(error), images=written)
        if has_face:
            return item.outcome("translated", images=written)
        return item.outcome("copied", reason=NO_FACE, images=written)

    def _written(self, item: _Open, index: int, *, has_face: bool) -> WrittenImage:
        if not has_face:
            return self._sink.copy(item.photo, index)
        image = self._image(item, np.stack(item.translated), index)
        return self._sink.write(item.photo, index, image, item.metadata)

    def _image(self, item: _Open, pixels_FW: Pixels, target_index: int) -> Image.Image:
        """One target's image; at several strengths a strip that begins with the photo."""
        num = len(self._job.options.strengths)
        return item.framed.compose_all(pixels_FW[:, target_index * num : (target_index + 1) * num])


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Photo], _Open | Outcome],
    photos: Iterable[Photo],
    num_ahead: int,
) -> Iterator[_Open | Outcome]:
    """Like `map`, in order, with a limited number of calls begun before they are needed."""
    begun: deque[Future[_Open | Outcome]] = deque()
    for photo in photos:
        begun.append(pool.submit(work, photo))
        if len(begun) > num_ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
