"""The batch job: every photo of a folder translated to every target, broken ones reported.

While one batch is translated, threads decode the next one and write the one before: never more
than three batches of prepared pictures and one photo a thread are in memory.

Shapes: T targets, N photos of one batch, S side of the model's pictures.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from stargan_deploy.errors import DataError, OutputError
from stargan_deploy.images import Pixels, load_image, save_image
from stargan_deploy.labels import FloatArray
from stargan_deploy.translation.listing import printable
from stargan_deploy.translation.photos import Trait, photo_traits, trait_notes
from stargan_deploy.translation.plan import BatchPlan, Photo
from stargan_deploy.translation.report import REPORT_NAME, BatchReport, Failure
from stargan_deploy.translation.sources import LabelTable
from stargan_deploy.translation.translator import ROWS_A_CALL, ZEROS_NOTE, Translator

OnProgress = Callable[[int, int], None]
"""Called with the photos done and all photos, after every batch."""

MAX_THREADS = 4


def run_batch(
    plan: BatchPlan,
    translator: Translator,
    *,
    model: str = "",
    on_progress: OnProgress | None = None,
) -> BatchReport:
    """Translates a planned batch and writes pictures and `report.json`.

    A first report is written before the work starts, so that an unwritable folder is noticed then,
    and that an interrupted batch leaves a report that says so.

    Args:
        plan: what `plan_batch` made.
        translator: over an entered runtime, whose batch size is that of the job.
        model: name of the model, for the report.
        on_progress: told how far the work is.

    Raises:
        OutputError: the output folder cannot be written.
        BackendError: the engine failed.
    """
    report = _empty_report(plan, translator, model)
    report.write(plan.job.output)
    run = _Run(plan, translator)
    start = time.perf_counter()
    num_done = 0
    for num_photos in run.batches():
        num_done += num_photos
        if on_progress is not None:
            on_progress(num_done, len(plan.photos))
    report = run.complete(report, time.perf_counter() - start)
    report.write(plan.job.output)
    return report


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    """One photo in memory."""

    photo: Photo
    pixels: Pixels
    """(S, S, 3), prepared."""
    source: FloatArray | None
    """Labels (K,) where they are given."""
    traits: tuple[Trait, ...]


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """What became of one photo's pictures."""

    num_pictures: int
    failure: Failure | None = None


class _Run:
    """One batch job while it runs."""

    def __init__(self, plan: BatchPlan, translator: Translator) -> None:
        self._plan = plan
        self._translator = translator
        self._targets = [named.target for named in plan.job.targets]
        self._failures: list[Failure] = []
        self._traits: Counter[Trait] = Counter()
        self._num_decoded = 0
        self._num_pictures = 0
        self._origin = ""

    def batches(self) -> Iterator[int]:
        """Works through the photos, batch by batch; yields the sizes of the batches."""
        size = self._translator.runtime.batch_size or ROWS_A_CALL
        saving: list[Future[_Saved]] = []
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
            for batch in _one_batch_ahead(pool, self._decode, self._plan.photos, size):
                translated = self._translate(self._sorted_out(batch))
                self._count(saving)
                saving = [pool.submit(_save, *pair) for pair in translated]
                yield len(batch)
            self._count(saving)

    def complete(self, report: BatchReport, seconds: float) -> BatchReport:
        """The report with everything that was found."""
        failures = (*self._plan.failures, *self._failures)
        return replace(
            report,
            finished=True,
            num_translated=len(self._plan.photos) - len(self._failures),
            num_pictures=self._num_pictures,
            num_failed=len(failures),
            seconds=round(seconds, 3),
            images_per_s=round(self._num_pictures / max(seconds, 1e-9), 2),
            source_origin=self._origin,
            failures=tuple(sorted(failures, key=lambda failure: failure.path)),
            notes=self._notes(),
        )

    def _decode(self, photo: Photo) -> _Decoded | Failure:
        """Reads and prepares one photo; runs in a thread."""
        table = self._plan.job.source
        source = table.find(photo.name) if isinstance(table, LabelTable) else None
        try:
            if isinstance(table, LabelTable) and source is None:
                raise DataError(f"{photo.path} has no row in {table.path}")
            image = load_image(photo.path)
            return _Decoded(
                photo=photo,
                pixels=self._translator.prepare(image),
                source=source,
                traits=photo_traits(image, self._translator.card),
            )
        except (DataError, MemoryError) as error:
            return _failure(photo, error)

    def _sorted_out(self, batch: Sequence[_Decoded | Failure]) -> list[_Decoded]:
        """Puts the failures aside and counts what notes need."""
        self._failures += [item for item in batch if isinstance(item, Failure)]
        decoded = [item for item in batch if isinstance(item, _Decoded)]
        self._num_decoded += len(decoded)
        self._traits.update(trait for item in decoded for trait in item.traits)
        return decoded

    def _translate(self, decoded: Sequence[_Decoded]) -> list[tuple[Photo, Pixels]]:
        """Each photo with its pictures (T, S, S, 3)."""
        if not decoded:
            return []
        pixels_NHWC = np.stack([item.pixels for item in decoded])
        translation = self._translator.translate_prepared(
            pixels_NHWC, self._targets, self._sources(decoded)
        )
        wanted_zeros = self._plan.job.source == "zeros" and translation.source_origin == "given"
        self._origin = "zeros" if wanted_zeros else translation.source_origin
        photos = [item.photo for item in decoded]
        return list(zip(photos, translation.pixels.swapaxes(0, 1), strict=True))

    def _sources(self, decoded: Sequence[_Decoded]) -> FloatArray | None:
        """Given source labels (N, K), or None to have them predicted."""
        if self._plan.job.source == "predict":
            return None
        nothing = np.zeros(self._translator.card.labels.num_labels, np.float32)
        return np.stack([nothing if d.source is None else d.source for d in decoded])

    def _count(self, saving: Sequence[Future[_Saved]]) -> None:
        """Waits for pictures to be written and counts them."""
        for saved in (future.result() for future in saving):
            self._num_pictures += saved.num_pictures
            if saved.failure is not None:
                self._failures.append(saved.failure)

    def _notes(self) -> tuple[str, ...]:
        notes = trait_notes(self._traits, self._num_decoded, self._translator.card)
        if self._origin == "zeros" and self._plan.job.source == "predict":
            notes.append(ZEROS_NOTE)
        if self._plan.renamed:
            notes.append(
                f"renamed: {len(self._plan.renamed)} of the pictures, because another photo's has "
                f"the name; {REPORT_NAME} lists them"
            )
        return tuple(notes)


def _one_batch_ahead(
    pool: ThreadPoolExecutor,
    decode: Callable[[Photo], _Decoded | Failure],
    photos: Sequence[Photo],
    size: int,
) -> Iterator[list[_Decoded | Failure]]:
    """Decodes in batches, of which the next one is under way while a caller has this one."""
    ahead: list[Future[_Decoded | Failure]] = []
    for start in range(0, len(photos) + size, size):
        current, ahead = ahead, [pool.submit(decode, p) for p in photos[start : start + size]]
        if current:
            yield [future.result() for future in current]


def _save(photo: Photo, pixels_THWC: Pixels) -> _Saved:
    """Writes one photo's pictures; runs in a thread."""
    for index, path in enumerate(photo.outputs):
        try:
            save_image(Image.fromarray(pixels_THWC[index]), path)
        except OutputError as error:
            return _Saved(num_pictures=index, failure=_failure(photo, error))
    return _Saved(num_pictures=len(photo.outputs))


def _failure(photo: Photo, error: Exception) -> Failure:
    reason = str(error) or type(error).__name__
    return Failure(path=printable(photo.name), reason=printable(reason))


def _empty_report(plan: BatchPlan, translator: Translator, model: str) -> BatchReport:
    job = plan.job
    return BatchReport(
        finished=False,
        input=printable(job.input),
        output=printable(job.output),
        targets={named.folder: named.target.text for named in job.targets},
        model=model,
        backend=translator.runtime.backend,
        device=translator.runtime.device,
        image_size=translator.image_size,
        num_photos=len(plan.photos),
        renamed=plan.renamed,
    )
