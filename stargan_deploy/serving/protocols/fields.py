"""The fields of requests to /v1: what they mean, and how they become the settings of a batch.

The same words as the command line's go through the same code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan_deploy.batch.plan import BatchJob, ImageOptions, make_job
from stargan_deploy.batch.words import parse_keep, parse_range, parse_strengths
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.inference.sampler import SampleRequest

Words = Mapping[str, Sequence[str]]
"""Texts by field, each as often as it was sent."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a request."""

    name: str
    about: str
    choices: tuple[str, ...] = ()
    """All values that it takes; empty where there is no list."""
    kind: str = "string"
    """Its type in JSON Schema."""
    repeatable: bool = False


MODEL = Field(name="model", about="Name of the model; left out, the first that is served.")

FRAMING = (
    Field(
        name="faces",
        about="Find the largest face, or all, align, and blend back into the whole photo.",
        choices=("largest", "all"),
    ),
    Field(
        name="fit",
        about="Without faces: the centre square, all of the photo padded to a square, or all of "
        "it stretched to one.",
        choices=("crop", "pad", "stretch"),
    ),
    Field(name="size", about="Side of the square images in pixels.", kind="integer"),
    Field(name="range", about="LOW,HIGH: values of deep photos that are black and white."),
)

TRANSLATE = (
    MODEL,
    Field(
        name="attrs",
        about="A target: `Blond_Hair`; `Blond_Hair,Young`; `-Male`; `flip:Smiling`. Repeated, each "
        "photo is translated to each.",
        repeatable=True,
    ),
    Field(name="strength", about="0 to 1.5; several like 0.5,1 give a strip."),
    Field(name="direction", about="For models with several: `a2b` or `b2a`."),
    Field(
        name="source",
        about="The photo's own labels: predicted, or all absent.",
        choices=("predict", "zeros"),
    ),
    *FRAMING,
    Field(
        name="without_face",
        about="A photo without a face is an error, or is returned as it is.",
        choices=("skip", "copy"),
    ),
    Field(name="keep", about="Metadata to keep of the photo: `exif`, `icc` or both."),
)

CLASSIFY = (MODEL, *FRAMING)

SAMPLE = (
    MODEL,
    Field(name="count", about="Number of images.", kind="integer"),
    Field(name="seed", about="Decides the images, on every backend.", kind="integer"),
    Field(name="label", about="Class of all images; left out, all in turn."),
    Field(
        name="interpolate",
        about="Whether to lead from the seed's first image to its second.",
        choices=("true", "false"),
    ),
)


def check_fields(words: Words, fields: Sequence[Field]) -> None:
    """Refuse fields and values that do not exist, and repeated ones where one counts.

    Raises:
        UsageError: there is one.
    """
    known = {field.name: field for field in fields}
    for name, values in words.items():
        field = known.get(name)
        if field is None:
            raise UsageError(unknown_name("field", name[:40], known, where="this request"))
        if len(values) > 1 and not field.repeatable:
            raise UsageError(f"`{name}` is given {len(values)} times", hint="give it once")
        for value in values:
            if field.choices and value not in field.choices:
                raise UsageError(unknown_name(f"`{name}`", value[:40], field.choices))


def image_options(words: Words) -> ImageOptions:
    """How images are made, as `batch` would make them.

    Raises:
        UsageError: a value that does not fit.
    """
    named: dict[str, Any] = {
        name: words[name][0] for name in ("fit", "faces", "without_face") if name in words
    }
    return ImageOptions(
        **named,
        size=_number(words, "size", None),
        strengths=parse_strengths(_text(words, "strength", "1")),
        range=parse_range(_text(words, "range", None)),
        keep=parse_keep(_text(words, "keep", "")),
    )


def translation_job(card: ModelCard, words: Words) -> BatchJob:
    """The job of a batch that asks the same of its photos.

    Raises:
        UsageError: words that make no sense, or not for this model.
    """
    return make_job(
        card,
        input=Path("image"),
        output=Path("translated"),
        targets=list(words.get("attrs", ())),
        direction=_text(words, "direction", None),
        source=_text(words, "source", "predict"),
        options=image_options(words),
    )


def sample_request(words: Words) -> SampleRequest:
    """Which images to make.

    Raises:
        UsageError: a value that does not fit.
    """
    return SampleRequest(
        count=_number(words, "count", 1),
        seed=_number(words, "seed", 0),
        label=_text(words, "label", None),
        interpolate=_text(words, "interpolate", "false") == "true",
    )


def _text(words: Words, name: str, usual: Any) -> Any:
    return words[name][0] if name in words else usual


def _number(words: Words, name: str, usual: Any) -> Any:
    text = _text(words, name, None)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"`{name}` must be a whole number, not {text[:40]!r}")
    return int(text)
