"""An open runtime with everything a batch needs around it, here or in another process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stargan_deploy.batch.photos.photo_file import ImageFiles, PhotoFiles, Write
from stargan_deploy.batch.pipeline import Pipeline
from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.batch.settings import IMAGES_SINCE, Settings, recorded
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.files.atomic import file_sha256, write_bytes
from stargan_deploy.inference.choose import ChosenModel
from stargan_deploy.inference.faces_in_photo import make_framing as framing_for
from stargan_deploy.inference.framing import Framing, side_of
from stargan_deploy.inference.source_labels import LabelTable
from stargan_deploy.inference.styles.source import StyledTarget
from stargan_deploy.inference.styles.translator import make_translator, reference_framing
from stargan_deploy.inference.translator import Translator


@dataclass(frozen=True, kw_only=True)
class BatchSession:
    """A pipeline that is ready, and its settings."""

    model: ChosenModel
    pipeline: Pipeline
    settings: Settings
    translator: Translator


@contextmanager
def open_session(
    chosen: ChosenModel, job: BatchJob, *, write: Write = write_bytes
) -> Iterator[BatchSession]:
    """Open a runtime for a job; closes it at the end of the block.

    Args:
        chosen: the model to open.
        job: the batch, or one like it.
        write: writes one image.

    Raises:
        ModelError, BackendError: it cannot be opened.
        UsageError: a size that the model does not take.
    """
    with chosen.open() as runtime:
        options = job.options
        translator = make_translator(
            runtime.card,
            runtime,
            references=reference_framing(runtime.card, options.fit, faces=bool(options.faces)),
            image_size=side_of(options.size),
            entry_point=options.entry_point,
        )
        pipeline = Pipeline(
            job,
            translator,
            make_framing(job, runtime.card),
            source=PhotoFiles(
                job.options.keep, job.options.range or runtime.card.preprocessing.value_range
            ),
            sink=ImageFiles(write),
        )
        settings = settings_of(job, translator, chosen.precision)
        yield BatchSession(
            model=chosen, pipeline=pipeline, settings=settings, translator=translator
        )


def make_framing(job: BatchJob, card: ModelCard) -> Framing:
    """Return the way from photos to tiles and back that a job asks for.

    Raises:
        BackendError: faces are to be found, and the detector is not installed.
    """
    options = job.options
    return framing_for(card, fit=options.fit, size=options.size, faces=options.faces)


def settings_of(job: BatchJob, translator: Translator, precision: str) -> Settings:
    """Return what decides a batch's images, for its manifest.

    Args:
        job: the batch.
        translator: translates its photos.
        precision: that of a checkpoint, whose card has none.
    """
    card, source = translator.card, job.source
    hashes = {name: point.payload_sha256 for name, point in card.entry_points.items()}
    threads = translator.runtime.pinned_threads
    measured = ", ".join(f"{kind} {dtype}" for kind, dtype in sorted(card.precision.items()))
    return Settings(
        artefact_sha256=hashes.get(translator.entry_point, ""),
        backend=translator.runtime.backend,
        device=str(translator.runtime.device),
        precision=measured or precision,
        batch_size=translator.runtime.batch_size or ROWS_PER_CALL,
        targets={named.target.text: job.options.strengths for named in job.targets},
        options=recorded(job.options)
        | ({"strengths_from": "photo"} if min(job.options.strengths) < 1 else {})
        | ({"images": "of the photo's size"} if job.options.size == "photo" else {})
        | ({"threads": threads} if threads else {})
        | {
            "classifier": hashes.get("classify", ""),
            "faces": job.options.faces or "off",
            "name": job.naming.text if job.naming else "",
            "size": translator.image_size,
            "source": file_sha256(source.path) if isinstance(source, LabelTable) else source,
            "version": IMAGES_SINCE,
        }
        | _styles(job),
    )


def _styles(job: BatchJob) -> dict[str, Any]:
    """What decides the styles of each target, where there are any."""
    targets = [named.target for named in job.targets]
    found = {t.text: [s.origin for s in t.styles] for t in targets if isinstance(t, StyledTarget)}
    return {"styles": found} if found else {}
