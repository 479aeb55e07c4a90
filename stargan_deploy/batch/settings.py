"""The settings that decide a batch's images, and how those of two runs differ."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stargan_deploy.config import to_mapping
from stargan_deploy.presentation.text import one_line

MAX_SHOWN_CHARACTERS = 40

IMAGES_SINCE = "0.1.0"
"""First version whose images are the same, byte for byte, as this one's: `version` in manifests.
Raise it with every change of the images."""

NOT_RECORDED = {"is_recorded": False}
"""Metadata of an options field that changes no image, or that `Settings` holds elsewhere."""

FIRST_KEYS = {
    "entry_point": "direction",
    **{name: name for name in ("faces", "fit", "keep", "size", "without_face")},
}
"""Keys in manifests by field, of the options that version 0.1.0 had."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything but the photos that decides the bytes and the names of images."""

    artefact_sha256: str
    backend: str
    device: str
    precision: str
    batch_size: int
    targets: dict[str, tuple[float, ...]]
    """Strengths by the target's text."""
    options: dict[str, Any]
    """Everything else: fit, size, faces, source, naming, kept metadata, versions. Plain values."""

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Raises:
            TypeError: an option that JSON does not have.
        """
        return to_mapping(self)


def recorded(options: Any) -> dict[str, Any]:
    """Return the options that decide images as plain values, by their key in a manifest.

    Every field counts unless its metadata is `NOT_RECORDED`. Options that 0.1.0 did not have are
    left out while they are at their default, so that its manifests can be resumed.

    Args:
        options: a dataclass.
    """
    values = {field: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {
        FIRST_KEYS.get(field.name, field.name): (
            ",".join(sorted(value)) if isinstance(value, frozenset) else value
        )
        for field, value in values.items()
        if field.metadata.get("is_recorded", True)
        and (field.name in FIRST_KEYS or value != field.default)
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Describe each difference between settings, by name: "backend: onnx -> openvino".

    Args:
        old: `Settings.to_mapping`, or whatever a file holds in its place.
        new: `Settings.to_mapping`.
    """
    before, after = _flat(old), _flat(new)
    names = sorted(before.keys() | after.keys())
    return tuple(
        f"{_clipped(name)}: {_shown(before, name)} -> {_shown(after, name)}"
        for name in names
        if name not in before or name not in after or before[name] != after[name]
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Inner tables flattened: `options.fit`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = value if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{k}": v for k, v in inner.items()}
    return flat


def _shown(settings: Mapping[str, Any], name: str) -> str:
    """A value of any kind in a few characters."""
    if name not in settings:
        return "none"
    value = settings[name]
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except RecursionError:  # only in a forged manifest
        text = "something"
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:12]
    return _clipped(text)


def _clipped(text: str) -> str:
    shown = one_line(text[: MAX_SHOWN_CHARACTERS + 1])
    return shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}..."
