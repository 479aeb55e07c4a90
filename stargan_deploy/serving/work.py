"""Translates, classifies and samples for requests: what a worker thread does, free of HTTP."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from stargan_deploy.batch.photos.photo_file import encode_translated
from stargan_deploy.batch.pipeline import NO_FACE
from stargan_deploy.batch.plan import BatchJob, ImageOptions
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import Pixels, encode_image, format_of
from stargan_deploy.files.metadata import AI_MADE_XMP
from stargan_deploy.inference.framing import Box, Framed, side_of
from stargan_deploy.inference.sampler import Sampler, SampleRequest
from stargan_deploy.inference.styles.translator import make_translator
from stargan_deploy.inference.translator import Translation, Translator
from stargan_deploy.serving.batching.shared_runtime import SharedRuntime
from stargan_deploy.serving.batching.ticket import Ticket
from stargan_deploy.serving.limits import Hands
from stargan_deploy.serving.metrics import Metrics, Stage
from stargan_deploy.serving.models import ServedModel
from stargan_deploy.serving.negotiation import choose_media_type
from stargan_deploy.serving.photos import MEDIA_TYPES, Decoded, Picture, Upload, decode


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What a request works with."""

    model: ServedModel
    ticket: Ticket
    hands: Hands
    metrics: Metrics
    max_pixels: int
    arrived: Callable[[], None] = lambda: None
    """Called when the request's first rows are queued."""

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Do a stage that keeps a core busy, when a hand is free and the result still wanted."""
        with self.hands.at_work(), self.metrics.stage(name):
            self.ticket.check()
            yield

    def runtime(self) -> SharedRuntime:
        """The model, run in batches that requests share."""
        return SharedRuntime(self.model.batcher, self.ticket, self.arrived)

    def translator(self, options: ImageOptions) -> Translator:
        """Translates in the batches that the model's requests share.

        Raises:
            UsageError: a size that the model does not take.
        """
        runtime = self.runtime()
        return make_translator(
            self.model.card,
            runtime,
            references=self.model.framing(options.fit, None, options.faces),
            image_size=side_of(options.size),
            entry_point=options.entry_point,
        )


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that was decoded and cut."""

    upload: Upload
    decoded: Decoded
    framed: Framed


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The classifier's reading of one square."""

    labels: Mapping[str, bool]
    """Whether the face has each attribute, or the square is of each domain."""
    box: Box | None
    """Where the face is in the photo; None where the photo was taken as one face."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Pictures, and what the client should know of them."""

    pictures: tuple[Picture, ...]
    notes: Mapping[str, str]
    """Short values by name."""


def open_photo(
    place: Workplace, upload: Upload, options: ImageOptions, only: int | None = None
) -> Photo:
    """Decode a photo and cut it into tiles; of its faces, only one if its number is given.

    Raises:
        ImageError: not an image that is taken.
        BackendError: faces are wanted, and the detector is not installed.
    """
    framing = place.model.framing(options.fit, options.size, options.faces, only)
    with place.stage("decode"):
        decoded = decode(upload, options, place.model.card, max_pixels=place.max_pixels)
        return Photo(upload=upload, decoded=decoded, framed=framing.frame(decoded.image))


def translate(
    place: Workplace,
    uploads: Sequence[Upload],
    job: BatchJob,
    accept: str,
    only: int | None = None,
) -> Answer:
    """Translate every photo to every target of a job; of its faces, only one if `only` is given.

    Raises:
        DataError: a photo that cannot be used, or without a face.
        ModelError: the model's result is not finite.
        RequestError: the result is no longer wanted, or in no format that the client takes.
    """
    translator = place.translator(job.options)
    photos = [open_photo(place, upload, job.options, only) for upload in uploads]
    found = _translated(place, translator, photos, job)
    counts = [len(photo.framed.tiles) for photo in photos]
    places = itertools.pairwise(np.cumsum([0, *counts]))
    pictures: list[Picture] = []
    for photo, (start, end) in zip(photos, places, strict=True):
        pixels_TF = None if found is None else found.pixels[:, start:end]
        with place.stage("encode"):
            pictures += _pictures(photo, pixels_TF, job, accept)
    return Answer(pictures=tuple(pictures), notes=_notes(found, counts))


def _translated(
    place: Workplace, translator: Translator, photos: Sequence[Photo], job: BatchJob
) -> Translation | None:
    """The tiles of all photos for all targets; None where there is no tile."""
    tiles = [photo.framed.tiles for photo in photos if len(photo.framed.tiles)]
    if not tiles:
        return None
    tiles_FHWC = np.concatenate(tiles)
    strengths = job.options.strengths
    targets = [named.target for named in job.targets for _ in strengths]
    with place.metrics.stage("model"):
        found = translator.translate_prepared(
            tiles_FHWC,
            targets,
            _sources(job, translator, len(tiles_FHWC)),
            [strength for _ in job.targets for strength in strengths],
        )
    found.check_finite()
    return found


def _sources(job: BatchJob, translator: Translator, num: int) -> FloatArray | None:
    if job.source == "predict":
        return None
    return np.zeros((num, translator.card.labels.num_labels), np.float32)


def _pictures(
    photo: Photo, pixels_TF: Pixels | None, job: BatchJob, accept: str
) -> Iterator[Picture]:
    """The results of one photo, one for each target."""
    media_type = choose_media_type(accept, photo.decoded.media_type)
    has_face = len(photo.framed.tiles) > 0
    if not has_face and job.options.without_face == "skip":
        raise DataError(
            f"{photo.upload.path}: {NO_FACE}", hint="`without_face` copy returns it as it is"
        )
    num = len(job.options.strengths)
    for index, named in enumerate(job.targets):
        if has_face and pixels_TF is not None:
            own_FW = pixels_TF[index * num : (index + 1) * num].swapaxes(0, 1)
            image = photo.framed.compose_all(own_FW)
            content = encode_translated(image, _named(media_type), photo.decoded.metadata)
        elif media_type == photo.decoded.media_type:
            content = photo.upload.content
        else:
            image = photo.framed.compose(photo.framed.tiles)
            content = encode_image(image, format_of(_named(media_type)))
        folder = named.folder if len(job.targets) > 1 else ""
        name = PurePosixPath(folder) / f"image-{photo.upload.number}"
        yield Picture(name=name, media_type=media_type, content=content)


def _named(media_type: str) -> Path:
    return Path(f"image{MEDIA_TYPES[media_type]}")


def _notes(found: Translation | None, counts: Sequence[int]) -> dict[str, str]:
    if found is None:
        return {"tiles": "0"}
    already = dict.fromkeys(
        target.text
        for target, is_already in zip(found.targets, found.is_already, strict=True)
        if is_already.any()
    )
    notes = {"tiles": ",".join(map(str, counts)), "source": found.source_origin}
    return notes | ({"already": "; ".join(already)} if already else {})


def classify(
    place: Workplace, uploads: Sequence[Upload], options: ImageOptions
) -> list[list[Reading]]:
    """The reading of each square of each photo.

    Raises:
        UsageError: the model has no classifier.
        DataError, ModelError, RequestError: as `translate`.
    """
    translator = place.translator(options)
    photos = [open_photo(place, upload, options) for upload in uploads]
    counts = [len(photo.framed.tiles) for photo in photos]
    tiles = [photo.framed.tiles for photo in photos if len(photo.framed.tiles)]
    with place.metrics.stage("model"):
        labels_FK = translator.classify(np.concatenate(tiles)) if tiles else np.empty((0, 0))
    names = translator.card.labels.names
    boxes = [b for p in photos for b in p.framed.boxes or (None,) * len(p.framed.tiles)]
    readings = [
        Reading(labels=dict(zip(names, map(bool, row), strict=True)), box=box)
        for row, box in zip(labels_FK, boxes, strict=True)
    ]
    ends = np.cumsum([0, *counts])
    return [readings[start:end] for start, end in itertools.pairwise(ends)]


def sample(place: Workplace, request: SampleRequest, accept: str) -> Answer:
    """Images from noise, marked as made by AI.

    Raises:
        CardError, UsageError, LabelError: as `check_request`.
        ModelError, RequestError: as `translate`.
    """
    media_type = choose_media_type(accept, "image/png")
    with place.metrics.stage("model"):
        pixels_NHWC = Sampler(place.runtime()).sample(request)
    with place.stage("encode"):
        pictures = [
            Picture(
                name=PurePosixPath(f"image-{number}"),
                media_type=media_type,
                content=encode_image(
                    Image.fromarray(pixels_HWC), format_of(_named(media_type)), xmp=AI_MADE_XMP
                ),
            )
            for number, pixels_HWC in enumerate(pixels_NHWC, 1)
        ]
    return Answer(pictures=tuple(pictures), notes={})
