"""Photos through the network and onto the disk, decoding, translating and writing side by side.

Threads decode the next photos and write the last ones while the calling thread translates. All
queues are bounded, so that memory does not grow with the number of photos. Every call of the engine
is padded to one batch size, so that a picture does not depend on its neighbours.

Shapes: W wishes (targets, each at every strength), F tiles of a photo, N tiles of a call, S side.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.batch.disk import is_disk_full
from stargan_deploy.batch.manifest.lines import Result
from stargan_deploy.batch.outcome import Outcome, WrittenImage
from stargan_deploy.batch.photos.photo_file import decode_photo, encode_translated, read_photo
from stargan_deploy.batch.photos.photo_remarks import Trait, photo_traits
from stargan_deploy.batch.plan import BatchJob, Photo
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.errors import DataError, OutputError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.files.images import Pixels, encode_image, format_of
from stargan_deploy.files.metadata import Metadata
from stargan_deploy.inference.framing import Framed, Framing, side_by_side
from stargan_deploy.inference.source_labels import LabelTable
from stargan_deploy.inference.translator import Translator

MAX_THREADS = 4

MAX_HELD_BYTES = 1 << 29
"""Whole photos that may wait for their faces; above it, a call is made that is not full."""

NO_FACE = "no face was found"

Write = Callable[[Path, bytes], None]
"""Writes a file atomically."""


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

    @property
    def is_done(self) -> bool:
        return len(self.translated) == len(self.framed.tiles)

    def outcome(
        self, result: Result, *, reason: str = "", pictures: Sequence[WrittenImage] = ()
    ) -> Outcome:
        return Outcome(
            photo=self.photo,
            result=result,
            reason=reason,
            input_sha256=self.sha256,
            input_bytes=self.num_bytes,
            pictures=tuple(pictures),
            traits=self.traits,
            num_tiles=len(self.framed.tiles),
            source_origin=self.origin,
        )


class Pipeline:
    """Translates photos with one opened engine.

    Args:
        job: what to make of every photo.
        translator: over an entered runtime with a batch size of its own.
        framing: how photos become tiles.
        write: writes one picture.
    """

    def __init__(
        self,
        job: BatchJob,
        translator: Translator,
        framing: Framing,
        *,
        write: Write = write_bytes,
    ) -> None:
        self._job = job
        self._translator = translator
        self._framing = framing
        self._write = write
        self._batch_size = translator.runtime.batch_size or ROWS_PER_CALL
        strengths = job.options.strengths
        self._targets = [named.target for named in job.targets for _ in strengths]
        self._strengths = [strength for _ in job.targets for strength in strengths]

    def work(self, photos: Iterable[Photo]) -> Generator[Outcome, None, None]:
        """Works through photos; yields the end of each, in about their order.

        Raises:
            BackendError: the engine failed.
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
        """Reads, decodes and cuts one photo; runs in a thread."""
        file = None
        try:
            file = read_photo(photo.path)
            image, metadata = decode_photo(file, self._job.options.keep)
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
        is_cropped = self._job.options.faces is None and self._job.options.fit == "crop"
        return tuple(trait for trait in traits if is_cropped or trait == "real")

    def _given_labels(self, photo: Photo) -> FloatArray | None:
        table = self._job.source
        if not isinstance(table, LabelTable):
            return None
        labels = table.find(photo.name)
        if labels is None:
            raise DataError(f"{photo.path} has no row in {table.path}")
        return labels

    def _translated(self, opened: Iterable[_Open | Outcome]) -> Iterator[_Open | Outcome]:
        """Fills calls of the engine with tiles; yields photos whose tiles are all done."""
        waiting: deque[tuple[_Open, Pixels]] = deque()
        held_bytes = 0
        for item in opened:
            if isinstance(item, Outcome) or item.is_done:  # it failed, or has no face
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
        """Translates the first tiles that wait; returns the photos that this completes."""
        call = [waiting.popleft() for _ in range(min(self._batch_size, len(waiting)))]
        translation = self._translator.translate_prepared(
            np.stack([tile for _, tile in call]),
            self._targets,
            self._sources([item for item, _ in call]),
            self._strengths,
        )
        for index, (item, _) in enumerate(call):
            item.translated.append(translation.pixels[:, index])
            item.origin = self._origin(translation.source_origin)
        return list({id(item): item for item, _ in call if item.is_done}.values())

    def _sources(self, items: Sequence[_Open]) -> FloatArray | None:
        """Given source labels (N, K), or None to have them predicted."""
        if self._job.source == "predict":
            return None
        nothing = np.zeros(self._translator.card.labels.num_labels, np.float32)
        return np.stack([nothing if item.source is None else item.source for item in items])

    def _origin(self, told: str) -> str:
        return "zeros" if self._job.source == "zeros" and told == "given" else told

    def _save(self, item: _Open) -> Outcome:
        """Composes, encodes and writes one photo's pictures; runs in a thread."""
        written: list[WrittenImage] = []
        has_face = len(item.framed.tiles) > 0
        if not has_face and self._job.options.without_face == "skip":
            return item.outcome("skipped", reason=NO_FACE)
        try:
            for picture in self._write_pictures(item) if has_face else self._write_copies(item):
                written.append(picture)  # noqa: PERF402 - those before a failure count too
        except (OutputError, DataError) as error:
            if is_disk_full(error):  # it is everybody's
                raise
            return item.outcome("failed", reason=str(error), pictures=written)
        if has_face:
            return item.outcome("translated", pictures=written)
        return item.outcome("copied", reason=NO_FACE, pictures=written)

    def _write_pictures(self, item: _Open) -> Iterator[WrittenImage]:
        pixels_FW = np.stack(item.translated)
        for index, path in enumerate(item.photo.outputs):
            picture = self._picture(item, pixels_FW, index)
            yield self._publish(item, path, encode_translated(picture, path, item.metadata))

    def _picture(self, item: _Open, pixels_FW: Pixels, target_index: int) -> Image.Image:
        """One target's picture; at several strengths a strip that begins with the photo."""
        num = len(self._job.options.strengths)
        first = target_index * num
        parts = [item.framed.compose(pixels_FW[:, first + offset]) for offset in range(num)]
        if num == 1:
            return parts[0]
        return side_by_side([item.framed.compose(item.framed.tiles), *parts])

    def _write_copies(self, item: _Open) -> Iterator[WrittenImage]:
        """The photo itself, as it is, or as a PNG where its format is not written."""
        file = read_photo(item.photo.path)
        for path in item.photo.outputs:
            content = file.content
            if path.suffix != item.photo.path.suffix:
                content = encode_image(decode_photo(file)[0], format_of(path))
            yield self._publish(item, path, content)

    def _publish(self, item: _Open, path: Path, content: bytes) -> WrittenImage:
        if item.photo.may_replace or not _stands_already(path, content):
            self._write(path, content)
        digest = hashlib.sha256(content).hexdigest()
        return WrittenImage(path=path, sha256=digest, size_bytes=len(content))


def _stands_already(path: Path, content: bytes) -> bool:
    """Whether a file is there and is the very same: a run that was killed did not note it.

    Raises:
        OutputError: there is another file, which may be somebody's.
    """
    try:
        there = path.read_bytes() if path.stat().st_size == len(content) else b""
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"cannot look at {path}: {error.strerror or error}") from error
    if there != content:
        raise OutputError(f"{path} exists and is not of this run; --overwrite replaces it")
    return True


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Photo], _Open | Outcome],
    photos: Iterable[Photo],
    num_ahead: int,
) -> Iterator[_Open | Outcome]:
    """What `map` gives, in order, with a limited number of calls begun before they are needed."""
    begun: deque[Future[_Open | Outcome]] = deque()
    for photo in photos:
        begun.append(pool.submit(work, photo))
        if len(begun) > num_ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
