"""What all models of an evaluation are measured with: photos, judge, face detector."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from typing import Literal

from stargan_deploy.data.source import SequenceSource
from stargan_deploy.errors import BackendError, UsageError
from stargan_deploy.evaluation.features.base import FeatureNet
from stargan_deploy.evaluation.features.registry import open_features
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.evaluation.kinds.base import FaceFinder, Surroundings
from stargan_deploy.evaluation.meters.closer import face_finder
from stargan_deploy.evaluation.photos.photo_set import PhotoSet, PhotosRequest, open_photos
from stargan_deploy.evaluation.plan import EvaluationRequest, legs_of, makes_samples
from stargan_deploy.evaluation.results import EvaluatedPhoto
from stargan_deploy.faces.detection import FaceDetector
from stargan_deploy.inference.find import find_model
from stargan_deploy.progress import OnProgress

MAX_PHOTOS = 1000
"""Photos of a data set, or images from noise, where no other number is asked for."""

MAX_DRAWN_IMAGES, MIN_DRAWN = 640, 32
"""Images to make from drawn faces, and the fewest faces: so many end within two minutes on two
cores with a full-size generator at 128x128."""

LAYOUT_NOUNS = {"paired": "halves of pairs", "unpaired": "between two domains"}
"""Photos that some models need, by the layout that holds them."""


def photos_for(request: EvaluationRequest, num_targets: int) -> PhotoSet:
    """The photos that all models get; for images from noise, real images to compare them with.

    Raises:
        DataError: there are none.
        UsageError: photos that cannot be drawn, and no folder.
    """
    options, cards = request.options, [model.card for model in request.models]
    has_data = options.data is not None or request.source is not None
    first, layout = cards[0].preprocessing, _layout_for(request)
    if makes_samples(cards[0]) and not has_data:
        return PhotoSet(SequenceSource([], description="images from noise"), [])
    if layout and not has_data:
        raise UsageError(
            f"{request.models[0].path.name} translates {LAYOUT_NOUNS[layout]}, which cannot be "
            "drawn",
            hint="name a folder of them with `data`",
        )
    drawn = max(MIN_DRAWN, MAX_DRAWN_IMAGES // num_targets)
    wanted = PhotosRequest(
        root=options.data,
        source=request.source,
        layout=layout,
        labels=_label_names(request),
        condition=first.condition,
        range=first.value_range,
        count=options.count or (MAX_PHOTOS if has_data else drawn),
        size=max(card.preprocessing.image_size for card in cards),
        seed=options.seed,
    )
    return open_photos(wanted)


def _layout_for(request: EvaluationRequest) -> Literal["paired", "unpaired"] | None:
    """The layout that the models need; None where any will do."""
    card = request.models[0].card
    if makes_samples(card):
        return None
    if any(leg.domains for leg in legs_of(card, request)):
        return "unpaired"
    return "paired" if card.preprocessing.condition else None


def _label_names(request: EvaluationRequest) -> tuple[str, ...]:
    """The labels that models and judge know."""
    cards = [model.card for model in request.models]
    if request.options.judge is not None:
        cards.append(find_model(request.options.judge).card)
    return tuple(dict.fromkeys(name for card in cards for name in card.labels.names))


def num_samples(request: EvaluationRequest) -> int:
    """Number of images from noise."""
    return request.options.count or MAX_PHOTOS


def identities(request: EvaluationRequest, photos: PhotoSet) -> tuple[EvaluatedPhoto, ...]:
    """Name and digest of everything that values are about: photos, or numbered latents."""
    if not makes_samples(request.models[0].card):
        pairs = zip(photos.names, photos.digests, strict=True)
        return tuple(EvaluatedPhoto(name=name, sha256=digest) for name, digest in pairs)
    seed = request.options.seed
    return tuple(
        EvaluatedPhoto(name=f"image {n}", sha256=hashlib.sha256(f"{seed}/{n}".encode()).hexdigest())
        for n in range(num_samples(request))
    )


@contextmanager
def surroundings(
    request: EvaluationRequest, photos: PhotoSet, notes: list[str], tell: Callable[[int], None]
) -> Iterator[Surroundings]:
    """Open the judge and everything else that measures.

    Args:
        request: names them.
        photos: for all models.
        notes: takes remarks on what cannot be measured.
        tell: called with a number of photos that are done.
    """
    options = request.options
    with ExitStack() as stack:
        around = Surroundings(photos=photos, on_photos=tell)
        if options.judge is not None:
            device = str(options.device) if options.device else None
            judge = stack.enter_context(Judge.open(options.judge, device=device))
            around = replace(around, judge=judge)
        nets = [stack.enter_context(_net(words, request)) for words in options.features]
        for net in nets:
            _check_enough(net, request, photos)
        around = replace(around, nets=tuple(nets))
        if options.identity is not None:
            described = stack.enter_context(_net(options.identity, request))
            around = replace(around, identity=described)
        if not makes_samples(request.models[0].card):
            around = replace(around, find_face=_face_finder(notes))
        yield around


def _net(words: str, request: EvaluationRequest) -> FeatureNet:
    return open_features(words, device=request.options.device)


def _check_enough(net: FeatureNet, request: EvaluationRequest, photos: PhotoSet) -> None:
    """Refuse fewer images than the covariance of features needs.

    Raises:
        UsageError: there are fewer.
    """
    numbers = [len(photos)]
    if makes_samples(request.models[0].card):
        numbers.append(num_samples(request))
    if min(numbers) <= net.width:
        raise UsageError(
            f"a {net.distance_name} on the {net.width:,} features of {net.name} needs at least "
            f"{net.width + 1:,} photos, and there are {min(numbers):,}",
            hint="raise `count`, name a larger set with `data`, or leave out `features`",
        )


def progress_of(num_all: int, on_progress: OnProgress) -> Callable[[int], None]:
    """Counts what is done."""
    counted = count()

    def tell(number: int) -> None:
        for _ in range(number):
            done = next(counted)
        on_progress(done + 1, num_all)

    return tell


def _face_finder(notes: list[str]) -> FaceFinder | None:
    try:
        return face_finder(FaceDetector.open(num_threads=1))
    except BackendError as error:
        notes.append(f"change outside the head was not measured: {error}")
        return None
