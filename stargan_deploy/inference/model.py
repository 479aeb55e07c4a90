"""The Python API of one model: `load`, and the `Model` that it returns.

Images enter and leave as pixels: RGB uint8 in [0, 255]. Shapes: N images, F faces or squares of
all images, S side of the model's images, K labels.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.backends.base import Providers, Runtime
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.card.labels import FloatArray, Target
from stargan_deploy.card.styles import style_route
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import LabelError, UsageError, unknown_name
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.choose import ChosenModel, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.faces_in_photo import make_framing
from stargan_deploy.inference.find import find_model
from stargan_deploy.inference.framing import Framed, Size, side_of
from stargan_deploy.inference.sampler import Sampler, SampleRequest
from stargan_deploy.inference.styles.source import StyleSource, styled
from stargan_deploy.inference.styles.translator import (
    StyledTranslator,
    make_translator,
    reference_framing,
)
from stargan_deploy.inference.targets import check_strength, only_target
from stargan_deploy.inference.translator import (
    ZEROS_NOTE,
    Translation,
    Translator,
    as_photo,
    choose_direction,
)

AnyImage = Image.Image | Pixels
"""A PIL image of any mode and size, or an RGB uint8 array (H, W, 3) in [0, 255]."""

Reference = AnyImage | str | Path
"""An image, or the path of its file."""

NO_STYLES = "this model has no styles"

ImageT = TypeVar(
    "ImageT", Image.Image, Pixels, list[Image.Image], list[Pixels], list[Image.Image | Pixels]
)

Labels = Mapping[str, bool]
"""Which attributes an image has; a name that is missing counts as absent."""

Which = Literal["largest", "all"]


class Model:
    """A model ready to translate, classify or sample; what `load` returns.

    The runtime is opened on first use and closed by `close`, or at the end of a `with` block. It
    serves one thread at a time.
    """

    def __init__(self, chosen: ChosenModel, runtime: Runtime | None = None) -> None:
        self.backend = chosen.backend
        """Name of the backend that runs it."""
        self.path = chosen.path
        """The file that is run."""
        self._runtime = runtime or chosen.open()
        self._is_open = False

    @property
    def card(self) -> ModelCard:
        """Everything that is known about the model."""
        return self._runtime.card

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names that targets and labels use."""
        return self.card.labels.names

    @overload
    def translate(
        self,
        image: ImageT,
        target: str = "",
        *,
        strength: float = 1.0,
        size: Size | None = None,
        faces: Which | None = None,
        sources: Labels | Sequence[Labels] | None = None,
        reference: Reference | None = None,
        seed: int | None = None,
        style: npt.ArrayLike | None = None,
    ) -> ImageT: ...

    @overload
    def translate(
        self,
        image: ImageT,
        target: list[str] | tuple[str, ...],
        *,
        strength: float = 1.0,
        size: Size | None = None,
        faces: Which | None = None,
        sources: Labels | Sequence[Labels] | None = None,
        reference: Reference | None = None,
        seed: int | None = None,
        style: npt.ArrayLike | None = None,
    ) -> list[ImageT]: ...

    def translate(
        self,
        image: Any,
        target: str | Sequence[str] = "",
        *,
        strength: float = 1.0,
        size: Size | None = None,
        faces: Which | None = None,
        sources: Labels | Sequence[Labels] | None = None,
        reference: Reference | None = None,
        seed: int | None = None,
        style: npt.ArrayLike | None = None,
    ) -> Any:
        """Translate one image or several, to one target or several.

        Without `faces`, the centre square of an image is translated, and the result has the side
        `size`. With `faces`, the result is the whole photo with the translated faces in it.

        Args:
            image: a PIL image; an RGB uint8 array (H, W, 3), or a batch (N, H, W, 3), in
                [0, 255]; or a list of PIL images and arrays.
            target: the requested labels, for example `Blond_Hair`, `Blond_Hair,Young`, `-Male` or
                `flip:Smiling`; for a model without labels its direction, `a2b` or `b2a`, or
                nothing where there is only one. A list of targets gives a list of results.
            strength: how far to go from the image's own labels (0) to the target's (1), and
                beyond, up to 1.5.
            size: side of the translated squares in pixels; None takes that of training. "photo"
                gives the image's own size, with what is around the square unchanged.
            faces: "largest" or "all" finds, aligns and translates faces and blends them back;
                needs the extra `faces`. None takes an image as one face.
            sources: the image's own labels, or those of each of several images; None predicts
                them with the model's classifier where a target depends on them.
            reference: of a model with styles, an image whose style is taken: a file, a PIL image
                or an array.
            seed: of a model with styles, draws one; None is 0 where nothing else gives the style.
            style: the style itself (S,), as `Model.style` returns it; the target may be empty then.

        Returns:
            The same kind of thing that went in: an image, an array, or a list. For a list of
            targets, a list with one such result per target.

        Raises:
            LabelError: a target or source label that the model does not know.
            UsageError: neither a PIL image nor an RGB uint8 array; a direction, size or strength
                that the model does not have.
            BackendError: the runtime or the face detector is not usable.
            ModelError: the model's result is not finite.
        """
        several = not isinstance(target, str)
        targets = list(target) if several else [cast(str, target)]
        images, restore = _listed(image, side_of(size) or self.card.preprocessing.image_size)
        check_strength(strength)
        source = self._style_source(reference, seed, style)
        options: dict[str, Any] = {"strength": strength, "size": size, "faces": faces}
        options["source"] = source
        labels_NK = self._labels(sources, len(images))
        results = map(restore, self._run(images, targets, labels_NK=labels_NK, **options))
        return list(results) if several else next(results)

    def style(
        self, domain: str, *, reference: Reference | None = None, seed: int = 0
    ) -> FloatArray:
        """The style (S,) of a reference, or one that is drawn, for a domain.

        Args:
            domain: one of the model's.
            reference: a file, a PIL image or an array; None draws.
            seed: of the drawn style.

        Raises:
            LabelError: a domain that the model does not know.
            UsageError: the model has no styles.
            DataError: a reference that cannot be used.
        """
        source = self._style_source(reference, None if reference is not None else seed, None)
        translator = self._translator(choose_direction(self.card, None))
        if source is None or not isinstance(translator, StyledTranslator):
            raise UsageError(NO_STYLES)
        return translator.style(self.card.labels.parse(domain), source)

    def classify(self, image: AnyImage | Sequence[AnyImage]) -> Any:
        """Predict which attributes or domain an image has.

        Args:
            image: as for `translate`.

        Returns:
            Each name and whether the image has it, as a dict of booleans; a list of dicts for
            several images.

        Raises:
            UsageError: the model has no classifier, or not an image.
        """
        images = [cast(AnyImage, image)] if _is_single(image) else list(cast(Any, image))
        translator = self._translator("translate")
        prepared = [translator.prepare(each) for each in images]
        labels_NK = translator.classify(np.stack(prepared)) if prepared else ()
        found = [dict(zip(self.attributes, map(bool, row), strict=True)) for row in labels_NK]
        return found[0] if _is_single(image) else found

    def sample(
        self, count: int, seed: int = 0, *, label: str | None = None, interpolate: bool = False
    ) -> list[Image.Image]:
        """Make images from noise.

        Args:
            count: number of images.
            seed: decides the images, on every backend.
            label: class of all images; None takes all classes in turn.
            interpolate: whether to lead from the seed's first image to its second.

        Raises:
            CardError: the model makes no images from noise.
            UsageError, LabelError: a count, seed or class that does not fit.
        """
        request = SampleRequest(count=count, seed=seed, label=label, interpolate=interpolate)
        self._open()
        return [Image.fromarray(pixels) for pixels in Sampler(self._runtime).sample(request)]

    def close(self) -> None:
        """Close the runtime; the next use opens it again."""
        if self._is_open:
            self._is_open = False
            self._runtime.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        if not self._is_open:
            self._runtime.__enter__()
            self._is_open = True

    def _translator(
        self, direction: str, size: int | None = None, *, faces: bool = False
    ) -> Translator:
        translator = make_translator(
            self.card,
            self._runtime,
            references=reference_framing(self.card, faces=faces),
            image_size=size,
            entry_point=direction,
        )
        self._open()
        return translator

    def _style_source(
        self, reference: Reference | None, seed: int | None, style: npt.ArrayLike | None
    ) -> StyleSource | None:
        """The style that is asked for; None where none is.

        Raises:
            UsageError: of a model without styles, or by several ways.
        """
        given = {"reference": reference, "seed": seed, "style": style}
        wanted = [f"`{name}`" for name, value in given.items() if value is not None]
        if not wanted:
            return None
        if style_route(self.card) is None:
            raise UsageError(NO_STYLES, hint=f"leave out {' and '.join(wanted)}")
        if len(wanted) > 1:
            raise UsageError(f"{' and '.join(wanted)} each give a style", hint="give one of them")
        if seed is not None and seed < 0:
            raise UsageError(f"a `seed` cannot be negative: {seed}")
        if isinstance(reference, str):
            reference = Path(reference)
        vector = None if style is None else np.asarray(style, np.float32)
        return StyleSource(reference=reference, vector=vector, seed=seed or 0)

    def _run(
        self,
        images: Sequence[AnyImage],
        targets: Sequence[str],
        *,
        labels_NK: FloatArray | None,
        strength: float,
        size: Size | None,
        faces: Which | None,
        source: StyleSource | None,
    ) -> list[list[Image.Image]]:
        """The results by target, then by image."""
        jobs = self._jobs(targets, source)
        if not self.card.labels.sets and (strength != 1 or labels_NK is not None):
            raise UsageError("this model has no labels", hint="leave out `strength` and `sources`")
        if style_route(self.card) and (strength != 1 or labels_NK is not None):
            raise UsageError("this model goes by styles", hint="leave out `strength` and `sources`")
        side = side_of(size) or self.card.preprocessing.image_size
        framing = make_framing(self.card, size=size, faces=faces)
        values = self.card.preprocessing.value_range
        framed = [framing.frame(as_photo(image, values)) for image in images]
        counts = [len(each.tiles) for each in framed]
        empty = np.empty((0, side, side, 3), np.uint8)
        tiles_FHWC = np.concatenate([empty, *(each.tiles for each in framed)])
        labels_FK = None if labels_NK is None else np.repeat(labels_NK, counts, axis=0)
        results = []
        for direction, wanted in jobs:
            translator = self._translator(direction, side, faces=bool(faces))
            strengths = [strength] * len(wanted)
            found = translator.translate_prepared(tiles_FHWC, wanted, labels_FK, strengths)
            found.check_finite()
            if strength != 1 and (named := _already(found)):
                warnings.warn(named, stacklevel=3)
            if found.source_origin == "zeros" and len(tiles_FHWC):
                warnings.warn(ZEROS_NOTE, stacklevel=3)
            results += [_compose(framed, pixels_FHWC) for pixels_FHWC in found.pixels]
        return results

    def _jobs(
        self, targets: Sequence[str], source: StyleSource | None
    ) -> list[tuple[str, list[str | Target]]]:
        """Entry points and the targets to run them with."""
        labels = self.card.labels
        if source is not None:
            anything = Target(text="", set_index=0, changes={})
            is_free = source.vector is not None
            parsed = [anything if is_free and not t else labels.parse(t) for t in targets]
            return [(choose_direction(self.card, None), [styled(t, [source]) for t in parsed])]
        if labels.sets:
            return [(choose_direction(self.card, None), [labels.parse(t) for t in targets])]
        directions = [choose_direction(self.card, target or None) for target in targets]
        return [(name, [only_target(labels, name, ()).target]) for name in directions]

    def _labels(
        self, sources: Labels | Sequence[Labels] | None, num_images: int
    ) -> FloatArray | None:
        """Source labels (N, K) by name as rows."""
        if sources is None:
            return None
        own = [sources] * num_images if isinstance(sources, Mapping) else list(sources)
        if len(own) != num_images:
            raise UsageError(f"{len(own)} `sources` do not fit {num_images} images")
        for name in (name for labels in own for name in labels):
            if name not in self.attributes:
                raise LabelError(unknown_name("label", name, self.attributes, where="this model"))
        rows = [[bool(labels.get(name)) for name in self.attributes] for labels in own]
        return np.array(rows, np.float32).reshape(num_images, len(self.attributes))


def _already(found: Translation) -> str:
    """A line about images that have what a target asks for, or nothing."""
    counts = zip(found.targets, found.is_already.sum(axis=1), strict=True)
    words = [f"{number} have {target.text!r} already" for target, number in counts if number]
    where = f"of {found.is_already.shape[1]} images or faces, "
    return f"{where}{', '.join(words)}: no `strength` changes them" if words else ""


def _compose(framed: Sequence[Framed], tiles_FHWC: Pixels) -> list[Image.Image]:
    """The images from the translated tiles of all of them."""
    ends = np.cumsum([0, *(len(each.tiles) for each in framed)])
    return [
        each.compose(tiles_FHWC[start:end])
        for each, start, end in zip(framed, ends, ends[1:], strict=False)
    ]


def _is_single(image: AnyImage | Sequence[AnyImage]) -> bool:
    if isinstance(image, np.ndarray):
        return image.ndim != 4
    return not isinstance(image, Sequence) or isinstance(image, str)


def _listed(
    image: AnyImage | Sequence[AnyImage], side: int
) -> tuple[list[AnyImage], Callable[[list[Image.Image]], Any]]:
    """Images as a list, and a function that gives their results the form of what went in.

    Args:
        image: one image or several.
        side: side of the results in pixels, which an array of no images has too.
    """
    if _is_single(image):
        kept = cast(AnyImage, image)
        return [kept], lambda results: _like(results[0], kept)
    images = list(cast(Sequence[AnyImage], image))
    if isinstance(image, np.ndarray):
        none = np.empty((0, side, side, 3), np.uint8)
        return images, lambda results: np.stack([*map(np.asarray, results)]) if results else none
    return images, lambda results: [_like(r, i) for r, i in zip(results, images, strict=True)]


def _like(result: Image.Image, image: AnyImage) -> AnyImage:
    return result if isinstance(image, Image.Image) else np.asarray(result)


def load(
    path: str | Path | None = None,
    *,
    backend: str = "auto",
    device: str | None = None,
    precision: Precision | None = None,
    weights: Literal["ema", "raw"] | None = None,
    batch_size: int | None = None,
    session: Any = None,
    session_options: Any = None,
    providers: Providers | None = None,
) -> Model:
    """Load a model for use in Python.

        picture = stargan_deploy.load("model.onnx").translate(photo, "Blond_Hair")

    Args:
        path: an exported artefact, a checkpoint, or a run's folder; None takes the newest run
            under ./runs, else the demo model in the package.
        backend: "eager" or "compile" (PyTorch), "onnx", "openvino", "pt2" or "trt"; "auto" takes
            the fastest that is proven equal to PyTorch on this machine. A checkpoint is exported
            to the cache first where the backend needs it.
        device: "cpu", "cuda", "cuda:N" or "mps"; None takes a usable GPU, else the CPU.
        precision: compute precision of a checkpoint: "fp32", "fp16", "bf16" or "int8"; None takes
            the backend's default.
        weights: "ema" or "raw", of a checkpoint that holds both; None takes the card's choice.
        batch_size: fixed size of every call, to which smaller batches are padded, so that results
            do not depend on how many images came together; None runs images as they come.
        session: an open `onnxruntime.InferenceSession` of an ONNX file, to be run as it is.
        session_options: `onnxruntime.SessionOptions` to open an ONNX file with.
        providers: onnxruntime's execution providers for an ONNX file, such as
            `["CoreMLExecutionProvider"]`; the file's proof does not cover them.

    Raises:
        ModelError: no such file, not a model, or an artefact that was not proven.
        UsageError: options that do not go with the file.
        BackendError: a backend or device that is not usable here.
    """
    request = RuntimeRequest(
        backend=backend,
        device=parse_device(device) if device else None,
        precision=precision,
        weights=weights,
        batch_size=batch_size,
    )
    chosen = resolve_runtime(find_model(Path(path) if path is not None else None), request)
    runtime = chosen.open(session=session, session_options=session_options, providers=providers)
    return Model(chosen, runtime)
