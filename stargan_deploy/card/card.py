"""The model card: what every later command must know about a model, carried inside its file.

Born in training, a card travels in the safetensors header of a checkpoint and in the metadata of
an ONNX file, so that no command asks the user for attributes, sizes or value ranges again. It is
JSON with the shape of `ModelCard`; `schema_version` rises when a reader must change.
"""

import dataclasses
import json
import platform
from importlib import metadata
from typing import Any, Literal

from stargan_deploy import __version__
from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import CardError, ConfigError, LabelError, brief, unknown_name

SCHEMA_VERSION = 1

CARD_KEY = "stargan_deploy.card"
"""The key under which every container (safetensors, ONNX) keeps the card."""

MAIN_ENTRY_POINTS = ("translate", "sample")
"""What most models are there for."""

Kind = Literal["image", "label", "class_index", "latent", "style", "mask", "logits"]

Precision = Literal["fp32", "fp16", "bf16", "int8"]
"""What the convolutions of an artefact compute in; the card's `precision` holds what was measured.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dim:
    """A symbolic dimension and the sizes it may take."""

    symbol: str
    min: int = 1
    max: int | None = None
    multiple: int = 1

    def accepts(self, size: int) -> bool:
        """Whether a tensor may have this size here."""
        below_max = self.max is None or size <= self.max
        return self.min <= size and below_max and size % self.multiple == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One named input or output."""

    name: str
    kind: Kind
    dtype: Literal["float32", "uint8", "int64"]
    layout: str
    """One letter a dimension: N batch, C channels, H height, W width, D label, K classes, Z
    latent."""
    shape: tuple[int | Dim, ...]
    value_range: tuple[float, float] | None = None
    """Least and greatest value, such as (-1, 1) or (0, 255); None where unbounded."""

    def __post_init__(self) -> None:
        if len(self.layout) != len(self.shape):
            raise ValueError(f"layout {self.layout!r} does not fit {len(self.shape)} dimensions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """One thing that a model can do, such as `translate` or `classify`."""

    file: str
    """Name of the file that holds it, beside the file that carries the card; its own if equal."""
    payload_sha256: str
    """SHA-256 of the weights or graph without the card, so that a verdict can be added later."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_stochastic(self) -> bool:
        """Whether a part of what goes in is to be drawn by the user: the masks of dropout."""
        return self.input("mask") is not None

    @property
    def makes_pictures(self) -> bool:
        """Whether what comes out is images, and not a classifier's logits."""
        return self.outputs[0].kind == "image"

    @property
    def sides(self) -> tuple[int | Dim, ...]:
        """Height and width of the images that go in, or of those that come out where none do."""
        spec = self.input("image") or self.outputs[0]
        dims = zip(spec.layout, spec.shape, strict=True)
        return tuple(dim for letter, dim in dims if letter in "HW")

    def input(self, kind: Kind) -> TensorSpec | None:
        """The first input of a kind, or None."""
        return next((spec for spec in self.inputs if spec.kind == kind), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a photo becomes what the network was trained on."""

    image_size: int
    """Side of the square images of training, in pixels."""
    crop_size: int | None = None
    """Side of the centre crop before the resize, in pixels of the training photos."""
    resize_filter: Literal["bilinear"] = "bilinear"
    pixel_range: tuple[float, float] = (-1.0, 1.0)
    """The range that the network itself sees."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What comparing an artefact with eager FP32 PyTorch showed."""

    entry_point: str
    runtime: str
    device: str
    passed: bool
    tolerance: dict[str, float]
    """Limits by figure, such as max_difference (8-bit levels) and psnr_db."""
    measured: dict[str, float]
    """The figures found, by the same names."""
    cases: tuple[str, ...]
    """What was compared, such as "batch 3 at 64x64"."""
    worst_image: str = ""
    """Where the greatest difference stood, such as "batch 3 at 64x64, image 1"."""
    speedup: float | None = None
    """How many times as fast as eager FP32 on the largest batch, in the same run."""
    machine: str = ""
    """Name of the processor or GPU that it was compared on."""
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is known about a checkpoint or an artefact."""

    schema_version: int = SCHEMA_VERSION
    family: str
    """Name of the model family, such as "stargan"."""
    network: dict[str, Any]
    """What rebuilds the networks: the family's own configuration."""
    weights: Literal["raw", "ema"]
    """Which weights an artefact holds; of a checkpoint with both, those that are exported."""
    step: int
    """Training steps behind the weights."""
    labels: LabelSpace
    preprocessing: Preprocessing
    entry_points: dict[str, EntryPoint]
    parents: dict[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of what this was made from, by role: "checkpoint", "initial weights", ..."""
    precision: dict[str, str] = dataclasses.field(default_factory=dict)
    """Precision as measured, by kind of layer."""
    verdicts: tuple[Verdict, ...] = ()
    unverified: str | None = None
    """Why there is no verdict, where there is none."""
    notes: tuple[str, ...] = ()
    """What the family says of itself, and what the exporter reported, such as layers that stay in
    higher precision."""
    training_data: str = ""
    """What the model was trained on: "synthetic faces", or the name of the data set."""
    data_licence: str = ""
    intended_use: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    def entry_point(self, name: str) -> EntryPoint:
        """Looks up an entry point.

        Raises:
            CardError: the model has no such entry point.
        """
        if name not in self.entry_points:
            raise CardError(unknown_name("entry point", name, self.entry_points, where="the model"))
        return self.entry_points[name]

    @property
    def main_entry_point(self) -> str:
        """The entry point that a model is there for; of several equal ones the first by name."""
        named = (name for name in MAIN_ENTRY_POINTS if name in self.entry_points)
        return next(named, min(self.entry_points, default=""))

    def to_json(self) -> str:
        """The card as JSON, keys sorted, so that equal cards are equal texts."""
        return json.dumps(to_mapping(self), sort_keys=True, ensure_ascii=False)


def parse_card(text: str, *, where: str) -> ModelCard:
    """Reads a card.

    Args:
        text: JSON as `ModelCard.to_json` writes it.
        where: the file it stands in, for messages.

    Raises:
        CardError: not JSON, a schema of another version, or fields that do not fit.
    """
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CardError(f"the model card in {where} is damaged: {error}") from error
    version = mapping.get("schema_version") if isinstance(mapping, dict) else None
    if version != SCHEMA_VERSION:
        raise CardError(
            f"the model card in {where} has schema version {version!r}, and this is a reader of "
            f"{SCHEMA_VERSION}; use the stargan-deploy version that wrote it or a newer one"
        )
    try:
        return from_mapping(ModelCard, mapping)
    except (ConfigError, LabelError) as error:
        raise CardError(f"the model card in {where} does not fit: {brief(error)}") from error


def library_versions(*names: str) -> dict[str, str]:
    """Versions of this tool, of Python and of the installed packages among `names`."""
    versions = {"stargan-deploy": __version__, "python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
