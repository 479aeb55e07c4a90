"""Images from noise, with an opened runtime; free of files.

The latent of image i comes from (seed, i) alone: it depends neither on how many images are
requested, nor on the batch, nor on the runtime.

Shapes: N images, H height, W width, Z latent width.
"""

from dataclasses import dataclass

import numpy as np

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import SAMPLE, EntryPoint, ModelCard
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.card.pixels import NOT_FINITE, NOT_FINITE_HINT, finite_rows, from_spec
from stargan_deploy.errors import CardError, LabelError, ModelError, UsageError, unknown_name
from stargan_deploy.files.images import Pixels


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """Which images to make."""

    count: int
    """Number of images."""
    seed: int = 0
    """Decides the images, on every backend."""
    label: str | None = None
    """Name of the class of all images; None takes all in turn."""
    interpolate: bool = False
    """Whether to interpolate from the seed's first image to its second."""

    def __post_init__(self) -> None:
        least = 2 if self.interpolate else 1
        if self.count < least:
            raise UsageError(f"give a count of {least} or more, not {self.count}")
        if self.seed < 0:
            raise UsageError(f"a seed cannot be negative: {self.seed}")


def check_request(card: ModelCard, request: SampleRequest) -> EntryPoint:
    """Refuses what a model cannot do, before it is opened.

    Returns:
        The entry point that makes the images.

    Raises:
        CardError: it makes no images from noise.
        UsageError: a class of a model without classes.
        LabelError: a class that the model does not know.
    """
    if SAMPLE not in card.entry_points:
        raise CardError(
            f"this model makes no images from noise, it has {', '.join(card.entry_points)}",
            hint="to translate photos: stargan-deploy batch",
        )
    point, names = card.entry_point(SAMPLE), card.labels.names
    if request.label is not None and not point.inputs_of("class_index"):
        raise UsageError("this model has no classes", hint="leave out `label`")
    if request.label is not None and request.label not in names:
        raise LabelError(unknown_name("class", request.label, names, where="this model"))
    return point


class Sampler:
    """Makes images with an entered runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.labels = runtime.card.labels

    def sample(self, request: SampleRequest) -> Pixels:
        """Images (N, H, W, 3) in [0, 255].

        Raises:
            CardError, UsageError, LabelError: as `check_request`.
            ModelError: the model's result is not finite.
        """
        point = check_request(self.runtime.card, request)
        inputs = draw_inputs(point, range(request.count), seed=request.seed)
        for spec in point.inputs_of("class_index"):
            if request.label is not None or request.interpolate:
                name = request.label or self.labels.names[0]
                inputs[spec.name][:] = self.labels.names.index(name)
        for spec in point.inputs_of("latent") if request.interpolate else ():
            inputs[spec.name] = interpolated(
                inputs[spec.name][0], inputs[spec.name][1], request.count
            )
        output = point.outputs[0]
        values = self.runtime.run(inputs, entry_point=SAMPLE)[output.name]
        if not finite_rows(values).all():
            raise ModelError(NOT_FINITE, hint=NOT_FINITE_HINT)
        return from_spec(values, output)

    def headings(self, request: SampleRequest) -> tuple[str, ...]:
        """The classes that the images have in turn; none where they all have one or none."""
        in_turn = request.label is None and not request.interpolate
        has_classes = check_request(self.runtime.card, request).inputs_of("class_index")
        return self.labels.names if in_turn and has_classes else ()


def interpolated(first: FloatArray, last: FloatArray, count: int) -> FloatArray:
    """Latents (N, Z) on the arc from one to another.

    A straight line would pass closer to zero than any drawn latent is (White 2016).
    """
    cosine = np.dot(first, last) / (np.linalg.norm(first) * np.linalg.norm(last))
    angle = np.arccos(np.clip(cosine, -1, 1))
    shares = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - shares) * first + shares * last).astype(np.float32)
    arc = np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last
    way: FloatArray = (arc / np.sin(angle)).astype(np.float32)
    return way
