"""What a run was set to, and how two runs differ."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stargan_deploy.config import to_mapping
from stargan_deploy.presentation.text import one_line

MAX_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the bytes and the names of pictures, apart from the photos."""

    artefact_sha256: str
    backend: str
    device: str
    precision: str
    batch_size: int
    targets: dict[str, tuple[float, ...]]
    """Strengths by the target's text."""
    options: dict[str, Any]
    """Whatever else: fit, size, faces, source, naming, kept metadata, versions. Plain values."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON.

        Raises:
            TypeError: an option that JSON does not have.
        """
        return to_mapping(self)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """How settings differ, such as "backend: onnx -> openvino", by name.

    Args:
        old: `Settings.to_mapping`, or what came of it in a file, whatever is in there now.
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
    """Settings of inner tables as `options.fit`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = value if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{k}": v for k, v in inner.items()}
    return flat


def _shown(settings: Mapping[str, Any], name: str) -> str:
    """A value in a few characters, whatever it is."""
    if name not in settings:
        return "none"
    value = settings[name]
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except RecursionError:  # only in a manifest that somebody made up
        text = "something"
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:12]
    return _clipped(text)


def _clipped(text: str) -> str:
    shown = one_line(text[: MAX_SHOWN_CHARACTERS + 1])
    return shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}..."
