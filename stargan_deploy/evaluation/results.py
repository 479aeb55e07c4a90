"""The results of an evaluation; `results.json` has the shape of these classes, keys sorted.

`docs/evaluation.md` describes it. `schema_version` increases when readers must change.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from stargan_deploy.config import to_mapping
from stargan_deploy.files.atomic import write_text
from stargan_deploy.files.document import read_document

SCHEMA_VERSION = 1

RESULTS_NAME = "results.json"

CONFIDENCE = 0.95
"""Share of all intervals."""

DIGITS = 6
"""Significant digits of figures and values in the file."""

Values = dict[str, tuple[tuple[float | None, ...], ...]]
"""Raw values by measure: for each target, or once for all of them, a value per photo; None where a
photo does not count."""

Verdict = Literal["better", "worse", "noise", "different"]
"""Of a difference: "noise" where its interval holds 0, "different" where no direction is better."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean over photos with its interval at 95 %."""

    value: float
    low: float
    high: float
    num: int
    """Number of photos behind it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureFigures(Figure):
    """A measure as the mean over all targets, and for each."""

    by_target: dict[str, Figure] = dataclasses.field(default_factory=dict)
    """By the target's name; empty for a measure of photos alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeFigures:
    """Answers about the translations to one target."""

    accuracy: Figure | None = None
    """Share of the photos that lacked the target and have it after translation."""
    untranslated: Figure | None = None
    """The same question about the photos themselves: what a model that changes nothing scores."""
    real: Figure | None = None
    """Share of the photos themselves whose labels of this target are read correctly."""
    kept: Figure | None = None
    """Share of the other labels that are read as before."""
    classification_error: Figure | None = None
    """For domains: share of all translations to this one in which another is seen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """What is read after translation to each target."""

    meaning: Literal["seen", "changed"]
    """Whether a share is that of the photos in which a label is seen (domains), or in which it is
    read otherwise than in the photo itself (attributes)."""
    labels: tuple[str, ...]
    """Columns."""
    shares: tuple[tuple[float | None, ...], ...]
    """A row per target."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Everything that one classifier sees; means over the targets."""

    attributes: dict[str, AttributeFigures] = dataclasses.field(default_factory=dict)
    """By the target's name."""
    accuracy: Figure | None = None
    untranslated: Figure | None = None
    real: Figure | None = None
    kept: Figure | None = None
    classification_error: Figure | None = None
    real_classification_error: Figure | None = None
    sure: Figure | None = None
    """Share of images in which it is sure of one class."""
    confusion: Confusion | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFigures(Answers):
    """One model; the answers at this level are those of its own classifier."""

    name: str
    """File name, or more of its path where several models have the same."""
    sha256: str
    """Of the weights or graph that made the images."""
    file_sha256: str
    """Of the checkpoint or artefact."""
    checkpoint_sha256: str
    """Of the checkpoint that an artefact was made from; empty where it is not known."""
    backend: str
    device: str
    precision: str
    """Type that convolutions compute in, as measured."""
    weights: Literal["raw", "ema"]
    step: int
    """Training steps behind the weights."""
    entry_point: str
    image_size: int
    """Side of its images in pixels."""
    num_images: int
    """Images that it made."""
    seconds: float
    """Time for making and judging them; no benchmark."""
    ms_per_image: float | None = None
    """From a benchmark's results, if some were given."""
    judge: Answers | None = None
    """What the judge sees."""
    measures: dict[str, MeasureFigures] = dataclasses.field(default_factory=dict)
    """Measures of images, by name."""
    sets: dict[str, Figure] = dataclasses.field(default_factory=dict)
    """Distances between sets of images, and other figures of whole sets, by name."""
    values: Values = dataclasses.field(default_factory=dict)
    """Raw values, from which all figures above can be computed again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatedPhoto:
    """A photo that went through all models."""

    name: str
    sha256: str
    """Of its file; of its pixels where it is none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeFacts:
    """The independent classifier."""

    name: str
    sha256: str
    labels: tuple[str, ...]
    held_out: dict[str, float] = dataclasses.field(default_factory=dict)
    """Its accuracy on held-out images as its card has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A model against the first one, on the same photos."""

    model: str
    against: str
    measure: str
    """Name of the values: `judge.accuracy`, `reconstruction`."""
    target: str = ""
    """Empty for the mean over all targets."""
    value: float
    """The model's mean minus that of the first one."""
    low: float
    high: float
    num: int
    verdict: Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The results of an evaluation."""

    schema_version: int = SCHEMA_VERSION
    created: str
    """UTC, ISO 8601."""
    version: str
    """Of stargan-deploy."""
    data: str
    """Name of the data set."""
    seed: int
    """Decides which photos are taken of a larger set, and the latents of images from noise."""
    confidence: float
    """Share of the intervals."""
    targets: tuple[str, ...]
    """Names of the targets, in the order of the raw values."""
    photos: tuple[EvaluatedPhoto, ...]
    """In the order of the raw values; of a model that makes images from noise, the images."""
    failures: dict[str, str] = dataclasses.field(default_factory=dict)
    """Photos that could not be evaluated, with the reason; their values are missing."""
    judge: JudgeFacts | None = None
    models: tuple[ModelFigures, ...] = ()
    differences: tuple[Difference, ...] = ()
    """Of every model to the first one."""
    notes: tuple[str, ...] = ()
    """Remarks on what could not be measured."""

    def to_json(self) -> str:
        """Return the results as JSON, keys sorted."""
        return json.dumps(self.to_mapping(), sort_keys=True, ensure_ascii=False)

    def to_mapping(self) -> dict[str, Any]:
        """The results as plain values, numbers rounded."""
        mapping: dict[str, Any] = _rounded(to_mapping(self))
        return mapping


def save_results(results: Results, path: Path) -> None:
    """Write `results.json` atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, results.to_json() + "\n")


def load_results(path: Path) -> Results:
    """Read a `results.json`, or that of a folder of results.

    Raises:
        DataError: no such file, not JSON, of another schema version, or with fields that do not
            fit.
    """
    path = path / RESULTS_NAME if path.is_dir() else path
    return read_document(
        Results, path, version=SCHEMA_VERSION, what="evaluation", renew="evaluate again"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return value
