"""An engine's file and the JSON record next to it, with hash, card and requirements.

`faces.engine` has `faces.engine.json` next to it. Reading them needs no TensorRT.
"""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from stargan_deploy.backends.artefact import read_file
from stargan_deploy.card.card import ModelCard, parse_card
from stargan_deploy.config import from_mapping, to_mapping
from stargan_deploy.errors import CardError, ConfigError, ModelError
from stargan_deploy.files.atomic import write_text

ProviderName = Literal["tensorrt", "tensorrt_rtx"]

_COPY_OR_EXPORT = "copy both files of an export together, or export again"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltWith:
    """The library and GPU that an engine was built with, and therefore fits."""

    provider: ProviderName
    """The Python module."""
    version: str
    """The module's version; engines fit no other."""
    compute_capability: str
    """Compute capability of the GPUs that run it: "8.9" for this one only, "8.0+" for newer too."""
    gpu: str | None = None
    """Name of the GPU that it was built on; None where there was none."""
    driver: str | None = None
    """CUDA version of the driver that it was built with."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{1,3}\.\d{1,3}\+?", self.compute_capability, re.ASCII):
            raise ValueError(f"{self.compute_capability!r} is not a compute capability")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """The record next to an engine."""

    engine_sha256: str
    """SHA-256 of the engine's file."""
    built_with: BuiltWith
    card: ModelCard | None
    """None between the writing of an engine and that of its card."""


def record_path(path: Path) -> Path:
    """Path of the record of an engine."""
    return path.with_name(f"{path.name}.json")


def write_record(path: Path, record: EngineRecord) -> None:
    """Writes the record of an engine next to it, atomically.

    Args:
        path: the engine's file.
        record: the record.
    """
    mapping: dict[str, Any] = {
        "engine_sha256": record.engine_sha256,
        "built_with": to_mapping(record.built_with),
    }
    if record.card is not None:
        mapping["card"] = to_mapping(record.card)
    write_text(record_path(path), json.dumps(mapping, ensure_ascii=False, indent=1) + "\n")


def attach_card(path: Path, card: ModelCard) -> None:
    """Puts a card next to an engine, replacing an earlier one.

    Raises:
        CardError: the engine has no record, or a damaged one.
    """
    write_record(path, dataclasses.replace(read_record(path), card=card))


def read_card(path: Path) -> ModelCard:
    """Reads the card next to an engine, and checks that it is this engine's.

    Raises:
        ModelError: no such engine.
        CardError: the card is missing, damaged, or another engine's.
    """
    record = read_record(path)
    if record.card is None:
        raise CardError(f"{record_path(path)} holds no model card", hint=_COPY_OR_EXPORT)
    check_engine(path, read_file(path), record)
    return record.card


def check_engine(path: Path, engine: bytes, record: EngineRecord) -> str:
    """The SHA-256 of an engine, which is the one in its record.

    Raises:
        CardError: the engine was changed, or belongs to another export.
    """
    found = hashlib.sha256(engine).hexdigest()
    if found != record.engine_sha256:
        raise CardError(
            f"{path} is not the engine that {record_path(path).name} was written for, by its "
            f"SHA-256: it was changed or belongs to another export",
            hint=_COPY_OR_EXPORT,
        )
    return found


def read_record(path: Path) -> EngineRecord:
    """Reads the record next to an engine.

    Raises:
        ModelError: neither the engine nor its record exists.
        CardError: the record is missing or damaged.
    """
    place = record_path(path)
    mapping = _read_json(path, place)
    found = mapping.get("engine_sha256")
    try:
        if not isinstance(found, str):
            raise ConfigError("there is no engine_sha256")
        built_with = from_mapping(BuiltWith, mapping.get("built_with", {}), path="built_with")
        text = json.dumps(mapping["card"]) if "card" in mapping else None
    except (ConfigError, RecursionError) as error:
        raise CardError(
            f"the record of the engine in {place} does not fit: {error}", hint=_COPY_OR_EXPORT
        ) from error
    card = None if text is None else parse_card(text, where=str(place))
    return EngineRecord(engine_sha256=found, built_with=built_with, card=card)


def _read_json(path: Path, place: Path) -> dict[str, Any]:
    try:
        mapping = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if not path.exists():
            raise ModelError(f"no such artefact: {path}") from error
        raise CardError(
            f"{path} has no model card: {place.name} is not next to it", hint=_COPY_OR_EXPORT
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"the model card in {place} is damaged: {error}") from error
    if not isinstance(mapping, dict):
        raise CardError(f"the model card in {place} is damaged: it is not a JSON object")
    return mapping
