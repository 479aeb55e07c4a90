"""Translates images to domains in styles; a style is made once for all images.

Shapes: T requests (targets, each at every position), N images, S side of the images in pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Runtime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.card.inputs import draw_latents
from stargan_deploy.card.labels import FloatArray, Target
from stargan_deploy.card.styles import StyleRoute, heat_maps, style_route
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.faces_in_photo import make_framing
from stargan_deploy.inference.framing import Fit, Framing
from stargan_deploy.inference.styles.source import (
    StyledTarget,
    StyleSource,
    check_reference,
    load_reference,
)
from stargan_deploy.inference.translator import Translation, Translator, as_photo


class StyledTranslator(Translator):
    """Translates with an opened runtime of a model that has styles; free of other files.

    Args:
        card, runtime, image_size: as for `Translator`.
        route: the model's entry points.
        references: the way from a reference to its tile, at the size of training.
    """

    def __init__(
        self,
        card: ModelCard,
        runtime: Runtime,
        *,
        image_size: int | None = None,
        route: StyleRoute,
        references: Framing,
    ) -> None:
        super().__init__(card, runtime, image_size=image_size, entry_point=route.translate)
        self._route = route
        self._references = references
        self._styles: dict[tuple[int, int], tuple[StyleSource, FloatArray]] = {}

    def style(self, target: Target, source: StyleSource) -> FloatArray:
        """The style (S,) of a source for a target's domain; made once.

        Raises:
            UsageError: the model makes no styles of such a source.
            DataError: a reference that cannot be read, or in which no face is found.
            ModelError: the style is not finite.
        """
        if source.vector is not None:
            return np.asarray(source.vector, np.float32)
        domain = self.card.labels.names.index(next(iter(target.changes)))
        if (domain, id(source)) not in self._styles:  # with the source, which keeps its id alive
            self._styles[domain, id(source)] = source, self._made(domain, source)
        return self._styles[domain, id(source)][1]

    def translate_prepared(
        self,
        pixels_NHWC: Pixels,
        targets: Sequence[str | Target],
        sources: FloatArray | None = None,  # noqa: ARG002 - no label of the photo plays a part
        strengths: Sequence[float] | None = None,
    ) -> Translation:
        """As `Translator.translate_prepared`; a strength is a position between two styles.

        A target without a style is translated in the first one of seed 0.
        """
        wanted = [self._styled(target) for target in targets]
        steps = [1.0] * len(wanted) if strengths is None else list(strengths)
        styles = [self._between(t, step) for t, step in zip(wanted, steps, strict=True)]
        shape = (len(styles), len(pixels_NHWC))
        made_RHWC, is_finite_R = self._translated(pixels_NHWC, styles)
        return Translation(
            targets=tuple(wanted),
            pixels=made_RHWC.reshape(*shape, *pixels_NHWC.shape[1:]),
            sources=np.zeros((len(pixels_NHWC), self.card.labels.num_labels), np.float32),
            source_origin="unused",
            is_finite=np.asarray(is_finite_R.reshape(shape).all(axis=0), np.bool_),
            is_already=np.zeros(shape, np.bool_),
        )

    def _translated(
        self, pixels_NHWC: Pixels, styles: Sequence[FloatArray]
    ) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """Every image in the first style, then in the second, ...; and whether it is finite."""
        point = self.runtime.card.entry_point(self.entry_point)
        (image,), (style,) = point.inputs_of("image"), point.inputs_of("style")
        # Without the image's own maps, what they gate is switched off.
        maps = {spec.name: np.zeros(spec.shape_for({"N": 1})[1:]) for spec in heat_maps(point)}
        rows: list[Mapping[str, Any]] = [
            {image.name: pixels, style.name: vector, **maps}
            for vector in styles
            for pixels in pixels_NHWC
        ]
        if not rows:
            return np.empty((0, *pixels_NHWC.shape[1:]), np.uint8), np.empty(0, np.bool_)
        return self._run_rows(rows)

    def _styled(self, target: str | Target) -> StyledTarget:
        parsed = self.card.labels.parse(target) if isinstance(target, str) else target
        if isinstance(parsed, StyledTarget):
            return parsed
        return StyledTarget(**vars(parsed), styles=(FIRST,))

    def _between(self, target: StyledTarget, position: float) -> FloatArray:
        """The style at a position from the first one of a target (0) to its last (1)."""
        first, last = (self.style(target, target.styles[end]) for end in (0, -1))
        if first is last:
            return first
        mixed: FloatArray = ((1 - position) * first + position * last).astype(np.float32)
        return mixed

    def _made(self, domain: int, source: StyleSource) -> FloatArray:
        by = self._route.by_latent if source.reference is None else self._route.by_reference
        if by is None:
            what = "random latents" if source.reference is None else "reference images"
            raise UsageError(f"this model makes no styles of {what}")
        point = self.runtime.card.entry_point(by)
        row: dict[str, Any] = {spec.name: domain for spec in point.inputs_of("class_index")}
        for spec in point.inputs_of("latent"):
            width = spec.dim("Z").least
            number = range(source.number, source.number + 1)
            row[spec.name] = draw_latents(number, width, source.seed)[0]
        for spec in point.inputs_of("image"):
            row[spec.name] = self._tile(source)
        made: FloatArray = self.translate_rows([row], by)[0]
        return made

    def _tile(self, source: StyleSource) -> Pixels:
        """A reference as the model takes it."""
        given, name = source.reference, "the reference"
        assert given is not None
        if isinstance(given, Path):
            photo, name = load_reference(given), str(given)
        else:
            photo = as_photo(given, self.card.preprocessing.value_range)
            check_reference(photo, name)
        tiles = self._references.frame(photo).tiles
        if not len(tiles):
            raise DataError(f"no face was found in {name}")
        tile: Pixels = tiles[0]
        return tile


FIRST = StyleSource()
"""The first style of seed 0."""


def reference_framing(card: ModelCard, fit: Fit = "crop", *, faces: bool = False) -> Framing:
    """The way from a reference to its tile: as photos are framed, at the size of training.

    Args:
        card: the model's.
        fit: how a photo becomes a square.
        faces: whether the largest face is looked for.

    Raises:
        BackendError: the face detector is not installed.
    """
    return make_framing(card, fit=fit, faces="largest" if faces else None)


def make_translator(
    card: ModelCard,
    runtime: Runtime,
    *,
    references: Framing,
    image_size: int | None = None,
    entry_point: str = "translate",
) -> Translator:
    """The translator that fits a model: by labels, or by styles.

    Args:
        card: the model's.
        runtime: an entered runtime.
        references: the way from a reference to its tile, at the size of training.
        image_size: side of the images in pixels; None takes the size of training.
        entry_point: what to do, as the card names it.

    Raises:
        UsageError: a size that the model's graph does not take.
    """
    route = style_route(card)
    if route is None or route.translate != entry_point:
        return Translator(card, runtime, image_size=image_size, entry_point=entry_point)
    return StyledTranslator(
        card, runtime, image_size=image_size, route=route, references=references
    )
