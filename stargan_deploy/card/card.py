"""The model card: everything that later commands must know about a model, inside its own file.

Born in training, a card travels in the safetensors header of a checkpoint and in the metadata of
an ONNX file, so that no command asks the user for attributes, sizes or value ranges again. It is
JSON with the shape of `ModelCard`; `schema_version` rises when readers must change.
"""

import dataclasses
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, Literal

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.card.tensors import Dim, Kind, PixelIO, TensorSpec
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import CardError, ConfigError, LabelError, brief, unknown_name
from stargan_deploy.version import __version__

SCHEMA_VERSION = 1

CARD_KEY = "stargan_deploy.card"
"""The key under which every container (safetensors, ONNX) keeps the card."""

SAMPLE = "sample"
"""Entry point that makes images from noise."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]
"""Type that convolutions compute in; the card's `precision` holds what was measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """One thing that a model can do: `translate`, `classify`."""

    file: str
    """Name of the file that holds it, in the folder of the file that carries the card."""
    payload_sha256: str
    """SHA-256 of the weights or graph without the card, so that a verdict can be added later."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_stochastic(self) -> bool:
        """Whether a part of the input is to be drawn by the user: the masks of dropout."""
        return any(not spec.is_heat_map for spec in self.inputs_of("mask"))

    @property
    def makes_images(self) -> bool:
        """Whether the result is images, and not a classifier's logits or a style."""
        return self.outputs[0].kind == "image"

    @property
    def sizes(self) -> tuple[tuple[Dim, Dim], ...]:
        """Height and width of each image that goes in, or of the result's where none does."""
        images = self.inputs_of("image") or self.outputs
        return tuple((s.dim("H"), s.dim("W")) for s in images if s.kind == "image")

    @property
    def batch(self) -> Dim:
        """The rows that a call takes."""
        return self.inputs[0].dim("N")

    @property
    def further_inputs(self) -> tuple[TensorSpec, ...]:
        """Everything besides a first image and a label."""
        usual = (*self.inputs_of("image")[:1], *self.inputs_of("label")[:1])
        return tuple(spec for spec in self.inputs if spec not in usual)

    def inputs_of(self, kind: Kind) -> tuple[TensorSpec, ...]:
        """The inputs of a kind, in order."""
        return tuple(spec for spec in self.inputs if spec.kind == kind)

    def with_io(self, io: PixelIO) -> "EntryPoint":
        """A checkpoint's entry point as a graph with this form of images has it."""
        return self._with_specs(lambda spec: spec.with_io(io))

    def limited(self, limits: Mapping[str, int]) -> "EntryPoint":
        """With greatest sizes, by letter of the layouts.

        Raises:
            UsageError: no size is left.
        """
        return self._with_specs(lambda spec: spec.limited(limits))

    def fixed(self, sizes: Mapping[str, int]) -> "EntryPoint":
        """With numbers in place of free dimensions, by letter of the layouts."""
        return self._with_specs(lambda spec: spec.fixed(sizes))

    def _with_specs(self, change: Callable[[TensorSpec], TensorSpec]) -> "EntryPoint":
        inputs, outputs = (tuple(map(change, specs)) for specs in (self.inputs, self.outputs))
        return dataclasses.replace(self, inputs=inputs, outputs=outputs)


def new_entry_point(inputs: Sequence[TensorSpec], *outputs: TensorSpec) -> EntryPoint:
    """An entry point that stands in no file yet."""
    return EntryPoint(file="", payload_sha256="", inputs=tuple(inputs), outputs=outputs)


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
    value_range: tuple[float, float] | None = None
    """Values of deep images (16 bits, floats) that become black and white; None for the full range
    of their type."""
    condition: Literal["left", "right"] | None = None
    """Half of a pair side by side that is the input; None for images that are no pairs."""
    pair_ratio: float | None = None
    """Width of such a pair by its height; None for 2, two squares."""


ADDED_LATER = ("value_range", "condition", "pair_ratio")
"""Fields of `Preprocessing` that the first cards did not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Result of comparing an artefact with eager FP32 PyTorch."""

    entry_point: str
    runtime: str
    device: str
    passed: bool
    tolerance: dict[str, float]
    """Limits by figure: max_difference (8-bit levels), psnr_db, ..."""
    measured: dict[str, float]
    """Measured figures, by the same names."""
    cases: tuple[str, ...]
    """The batches compared: "batch 3 at 64x64"."""
    worst_image: str = ""
    """Place of the greatest difference: "batch 3 at 64x64, image 1"."""
    speedup: float | None = None
    """In files of 0.1.0 only: a speed from one call, which is noise, so that nothing uses it."""
    machine: str = ""
    """Name of the processor or GPU that it was compared on."""
    versions: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teacher:
    """The model that a smaller one was trained after."""

    sha256: str
    """SHA-256 of its file."""
    macs: int
    """Multiply-accumulates of one image at the training size, by its generator."""
    parameters: int
    """Weights of its generator."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is known about a checkpoint or an artefact."""

    schema_version: int = SCHEMA_VERSION
    family: str
    """Name of the model family: "stargan"."""
    network: dict[str, Any]
    """The family's own configuration, which rebuilds the networks."""
    weights: Literal["raw", "ema"]
    """The weights that an artefact holds; in a checkpoint with both, those to be exported."""
    step: int
    """Training steps behind the weights."""
    labels: LabelSpace
    preprocessing: Preprocessing
    entry_points: dict[str, EntryPoint]
    parents: dict[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of the files this was made from, by role: "checkpoint", "initial weights", ..."""
    teacher: Teacher | None = None
    """The model that this one was distilled from; None for any other."""
    precision: dict[str, str] = dataclasses.field(default_factory=dict)
    """Precision as measured, by kind of layer."""
    verdicts: tuple[Verdict, ...] = ()
    unverified: str | None = None
    """Reason for the lack of a verdict; None if there is one."""
    export: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Settings of the export, by name; empty for a checkpoint and in old files."""
    notes: tuple[str, ...] = ()
    """Remarks of the family and of the exporter, for example on layers in higher precision."""
    held_out: dict[str, float] = dataclasses.field(default_factory=dict)
    """Figures of the finished model on images held out of its training, by name: "num_images",
    "accuracy", "accuracy/Smiling"; empty where none were measured."""
    training_data: str = ""
    """Training data: "synthetic faces", or the name of the data set."""
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
        """The one that makes images from the fewest inputs; the first by name among equals."""

        def rank(name: str) -> tuple[bool, int, str]:
            point = self.entry_points[name]
            return not point.makes_images, len(point.further_inputs), name

        return min(self.entry_points, key=rank, default="")

    def to_json(self) -> str:
        """The card as JSON with sorted keys, so that equal cards are equal texts."""
        card = to_mapping(self)
        for name in ADDED_LATER:
            if card["preprocessing"][name] is None:  # so that 0.1.0 reads cards without them
                del card["preprocessing"][name]
        for name in ("held_out", "teacher"):
            if not card[name]:
                del card[name]
        for spec in (s for p in card["entry_points"].values() for s in p["inputs"] + p["outputs"]):
            if not spec["is_heat_map"]:  # for the same reason
                del spec["is_heat_map"]
        return json.dumps(card, sort_keys=True, ensure_ascii=False)


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
            f"the model card in {where} has schema version {version!r}, and this reads "
            f"{SCHEMA_VERSION}",
            hint="use the stargan-deploy version that wrote it or a newer one",
        )
    try:
        return from_mapping(ModelCard, mapping)
    except (ConfigError, LabelError) as error:
        raise CardError(f"the model card in {where} does not fit: {brief(error)}") from error


def library_versions(*names: str) -> dict[str, str]:
    """Versions of stargan-deploy, of Python and of the installed packages among `names`."""
    versions = {"stargan-deploy": __version__, "python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
