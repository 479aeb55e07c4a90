"""The fields of requests to /v1: what they mean, and how they become the settings of a batch.

The same words as the command line's go through the same code.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from stargan_deploy.batch.plan import BatchJob, ImageOptions, make_job
from stargan_deploy.card.card import ModelCard
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.inference.sampler import SampleRequest
from stargan_deploy.inference.styles.source import StyleRequest
from stargan_deploy.serving.problems import with_fields
from stargan_deploy.typed import TEXTS, field_docs, read_typed, split_default

T = TypeVar("T")

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


OTHER_NAMES = {"strengths": "strength"}
"""Fields of requests that are not called like their setting."""

OTHER_WORDS = {
    "without_face": "Whether a photo in which `faces` finds none is an error (skip), or is "
    "returned as it is (copy)."
}
"""Descriptions of fields that mean something else than in a batch."""


def _fields_of(kind: type, *, without: Sequence[str] = ()) -> tuple[Field, ...]:
    """The fields of requests for the fields of a dataclass."""
    docs, hints = field_docs(kind), get_type_hints(kind)
    return tuple(
        _field_of(name, hints[name], docs[name])
        for name in (field.name for field in dataclasses.fields(kind))
        if name not in without
    )


def _field_of(name: str, hint: Any, doc: str) -> Field:
    words, none = split_default(doc)
    kinds = () if hint in TEXTS else (hint, *get_args(hint))
    literals = [kind for kind in kinds if get_origin(kind) is Literal]
    choices = ("true", "false") if hint is bool else tuple(map(str, get_args(*literals[:1] or [0])))
    usual = f" Left out: {none}." if none else ""
    return Field(
        name=OTHER_NAMES.get(name, name),
        about=OTHER_WORDS.get(name) or with_fields(f"{words}.{usual}"),
        choices=choices,
        kind="integer" if int in kinds else "string",
    )


MODEL = Field(name="model", about="Name of the model. Left out: the first that is served.")

FRAMING_OPTIONS = ("fit", "size", "faces", "range")

IMAGE = _fields_of(ImageOptions, without=("entry_point",))

FRAMING = tuple(field for field in IMAGE if field.name in FRAMING_OPTIONS)

TRANSLATE = (
    Field(
        name="attrs",
        about="A target: Blond_Hair; Blond_Hair,Young; -Male; flip:Smiling. If given several "
        "times, photos are translated to each.",
        repeatable=True,
    ),
    MODEL,
    Field(name="direction", about="Which direction to translate, for models that have two."),
    Field(
        name="source",
        about="The photos' own labels: from the model's classifier, or all absent.",
        choices=("predict", "zeros"),
    ),
    *_fields_of(StyleRequest, without=("references",)),
    *IMAGE,
    Field(
        name="face",
        about="Number of the only face to translate, from 1 in the order of /v1/classify; goes "
        "with `faces` all.",
        kind="integer",
    ),
)

CLASSIFY = (MODEL, *FRAMING)

SAMPLE = (MODEL, *_fields_of(SampleRequest))


MAX_SHOWN = 200
"""Characters of a text that is read as a setting, and repeated in a complaint about it."""


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
    return _settings(ImageOptions, words)


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
        style=_settings(StyleRequest, words),
    )


def chosen_face(words: Words) -> int | None:
    """The number of the only face to translate; None for all.

    Raises:
        UsageError: not a number, or one of faces that are not looked for.
    """
    if "face" not in words:
        return None
    number: int = _value("face", int, words["face"][0])
    if number < 1 or words.get("faces") != ["all"]:
        raise UsageError("'face' is a number from 1, and goes with `faces` all")
    return number


def sample_request(words: Words) -> SampleRequest:
    """Which images to make; one where no number is given.

    Raises:
        UsageError: a value that does not fit.
    """
    return _settings(SampleRequest, {"count": ["1"], **words})


def _settings(kind: type[T], words: Words) -> T:
    """A dataclass from the texts of the fields that were sent."""
    hints = get_type_hints(kind)
    texts = {name: words.get(OTHER_NAMES.get(name, name), ())[:1] for name in hints}
    return kind(**{name: _value(name, hints[name], *t) for name, t in texts.items() if t})


def _value(name: str, hint: Any, text: str) -> Any:
    if hint is bool:
        return text == "true"
    if hint in TEXTS or int not in (hint, *get_args(hint)):
        return read_typed(name, hint, text[:MAX_SHOWN])
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"`{name}` must be a whole number, not {text[:40]!r}")
    return int(text)


def _text(words: Words, name: str, usual: Any) -> Any:
    return words[name][0] if name in words else usual
