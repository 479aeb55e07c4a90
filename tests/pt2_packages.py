"""Packages for the tests of exporter and runtime, compiled once a process."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

from stargan_deploy.backends.pt2.file import (
    payload_sha256,
    read_card,
    read_entries,
    write_package,
)
from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.plan import ExportOptions

_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Kept until the process ends."""


@functools.cache
def exported_packages(checkpoint: Path) -> ExportResult:
    """A checkpoint as packages in FP32, with pixels in and out."""
    _folders.append(tempfile.TemporaryDirectory())
    out = Path(_folders[-1].name) / "tiny.pt2"
    return export(checkpoint, out=out, options=ExportOptions(format="pt2"))


def forge(path: Path, entries: dict[str, bytes], **changes: object) -> None:
    """Changes a package and what its card says of `translate`; the hash is made to fit."""
    entries = read_entries(path) | entries
    card = read_card(path)
    point = replace(
        card.entry_points["translate"], payload_sha256=payload_sha256(entries), **changes
    )
    card = replace(card, entry_points=card.entry_points | {"translate": point})
    write_package(path, entries, card)
