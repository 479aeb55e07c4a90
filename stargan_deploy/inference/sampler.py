"""Pictures from noise, with an opened runtime; free of files.

The latent of picture i comes from (seed, i) alone: it depends neither on how many pictures are
asked for, nor on the batch, nor on the runtime.

Shapes: N pictures, H height, W width, Z latent width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import EntryPoint, ModelCard, TensorSpec
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.errors import CardError, LabelError, UsageError, unknown_name
from stargan_deploy.families.blocks.latent import SAMPLE
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.pixel_io import from_spec


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """What pictures are wanted."""

    count: int
    seed: int = 0
    label: str | None = None
    """Name of the class that all shall have; None takes all classes in turn."""
    interpolate: bool = False
    """Whether the pictures lead from the seed's first one to its second."""

    def __post_init__(self) -> None:
        least = 2 if self.interpolate else 1
        if self.count < least:
            raise UsageError(f"give a count of {least} or more, not {self.count}")
        if self.seed < 0:
            raise UsageError(f"a seed cannot be negative: {self.seed}")


def check_request(card: ModelCard, request: SampleRequest) -> EntryPoint:
    """Refuses what a model cannot do, before it is opened.

    Returns:
        The entry point that makes the pictures.

    Raises:
        CardError: it makes no pictures from noise.
        UsageError: a class of a model without classes.
        LabelError: a class that the model does not know.
    """
    if SAMPLE not in card.entry_points:
        has = ", ".join(card.entry_points)
        raise CardError(
            f"this model makes no pictures from noise, it has {has}; see: stargan-deploy batch"
        )
    point, names = card.entry_point(SAMPLE), card.labels.names
    if request.label is not None and point.input("class_index") is None:
        raise UsageError("this model has no classes, so --label has nothing to choose from")
    if request.label is not None and request.label not in names:
        raise LabelError(unknown_name("class", request.label, names, where="this model"))
    return point


class Sampler:
    """Makes pictures with an entered runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.labels = runtime.card.labels

    def sample(self, request: SampleRequest) -> Pixels:
        """Pictures (N, H, W, 3) in [0, 255].

        Raises:
            CardError, UsageError, LabelError: as `check_request`.
        """
        point, inputs = check_request(self.runtime.card, request), {}
        for spec in point.inputs:
            draw = self._classes if spec.kind == "class_index" else _latents
            inputs[spec.name] = draw(spec, request)
        output = point.outputs[0]
        return from_spec(self.runtime.run(inputs, entry_point=SAMPLE)[output.name], output)

    def headings(self, request: SampleRequest) -> tuple[str, ...]:
        """The classes that the pictures have in turn; nothing where they all have one or none."""
        in_turn = request.label is None and not request.interpolate
        has_classes = check_request(self.runtime.card, request).input("class_index") is not None
        return self.labels.names if in_turn and has_classes else ()

    def _classes(self, spec: TensorSpec, request: SampleRequest) -> npt.NDArray[np.int64]:  # noqa: ARG002 - as for latents
        names = self.labels.names
        if request.label is None:
            first = np.zeros(request.count) if request.interpolate else np.arange(request.count)
            return first.astype(np.int64) % len(names)
        return np.full(request.count, names.index(request.label), np.int64)


def draw_latents(count: int, width: int, seed: int) -> FloatArray:
    """Latents (N, Z) from N(0, 1), each from a stream of its own."""
    streams = (np.random.default_rng([seed, index]) for index in range(count))
    return np.stack([stream.standard_normal(width, np.float32) for stream in streams])


def interpolated(first: FloatArray, last: FloatArray, count: int) -> FloatArray:
    """Latents (N, Z) on the arc from one to another.

    On a straight line they would come nearer to zero than any drawn latent is (White 2016).
    """
    cosine = np.dot(first, last) / (np.linalg.norm(first) * np.linalg.norm(last))
    angle = np.arccos(np.clip(cosine, -1, 1))
    shares = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - shares) * first + shares * last).astype(np.float32)
    arc = np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last
    way: FloatArray = (arc / np.sin(angle)).astype(np.float32)
    return way


def _latents(spec: TensorSpec, request: SampleRequest) -> FloatArray:
    width = spec.shape[1]
    if spec.kind != "latent" or not isinstance(width, int):
        raise CardError(f"there is no way to draw an input of kind {spec.kind!r}")
    if request.interpolate:
        first, last = draw_latents(2, width, request.seed)
        return interpolated(first, last, request.count)
    return draw_latents(request.count, width, request.seed)
