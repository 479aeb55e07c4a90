"""Artefacts that are made once per checkpoint and kept in the user's cache.

A folder is named after the checkpoint's content, the version and the options, so that none of them
ever meets an old artefact. If the cache exceeds its limit, the least recently used go first.
"""

import os
import shutil
from pathlib import Path
from typing import Literal

from stargan_deploy.backends.registry import (
    artefact_bytes,
    choose_precision,
    format_spec,
    read_card_of,
)
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.errors import StarganDeployError, UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.export.plan import checkpoint_sha256, name_files
from stargan_deploy.files.cache import cache_folder
from stargan_deploy.version import __version__

LIMIT_BYTES = 4_000_000_000
"""Greatest size of all cached artefacts; the variable STARGAN_DEPLOY_CACHE_BYTES changes it."""

LIMIT_VARIABLE = "STARGAN_DEPLOY_CACHE_BYTES"

NAME = "model"
"""Name of the artefacts in the cache."""

Weights = Literal["ema", "raw"]


def cached_artefacts(checkpoint: Path, *, weights: Weights | None = None) -> list[Path]:
    """The main files of all complete artefacts in the cache that were made from a checkpoint."""
    card, folder = read_card_of(checkpoint), _checkpoint_folder(checkpoint, weights)
    files = (path for path in folder.glob(f"*/{NAME}.*") if path == _main_file(card, path))
    return sorted(filter(_is_whole, files))


def cached_path(
    checkpoint: Path,
    format: str,
    precision: Precision | None = None,
    *,
    weights: Weights | None = None,
) -> Path:
    """Path of an artefact in the cache, whether it exists or not.

    Raises:
        UsageError: no such format, or the format does not exist at the precision.
        ModelError: not a checkpoint.
    """
    chosen = choose_precision(format, precision)
    folder = _checkpoint_folder(checkpoint, weights) / f"{format}-{chosen}"
    return _main_file(read_card_of(checkpoint), folder / f"{NAME}{format_spec(format).suffix}")


def is_cached(path: Path) -> bool:
    """Whether there is a complete artefact at a path in the cache."""
    return path.is_file() and _is_whole(path)


def make_cached(
    checkpoint: Path,
    format: str,
    precision: Precision | None = None,
    *,
    weights: Weights | None = None,
    device: str | None = None,
) -> Path:
    """An artefact from the cache; made and proven if it is not there.

    Returns:
        Its main file.

    Raises:
        ExportError: the export failed, or does not equal PyTorch.
        BackendError: a library that the format needs is missing.
        OutputError: the cache cannot be written; the variable XDG_CACHE_HOME moves it.
    """
    path = cached_path(checkpoint, format, precision, weights=weights)
    if not is_cached(path):
        options = ExportOptions(
            format=format, precision=precision, weights=weights, device=device, overwrite=True
        )
        export(checkpoint, out=path.with_name(f"{NAME}{path.suffix}"), options=options)
    os.utime(path.parent)
    prune_cache(_limit_bytes(), keep=path.parent)
    return path


def prune_cache(limit_bytes: int, *, keep: Path) -> None:
    """Removes the least recently used artefacts until the rest fits; never `keep`."""
    folders = [f for f in (cache_folder() / "artefacts").glob("*/*") if f.is_dir() and f != keep]
    total = artefact_bytes(keep) + sum(map(artefact_bytes, folders))
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime):
        if total <= limit_bytes:
            return
        total -= artefact_bytes(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _main_file(card: ModelCard, path: Path) -> Path:
    """The main file of a checkpoint's export, next to a file with the format's suffix."""
    files = name_files(card, path.with_name(f"{NAME}{path.suffix}"), path.suffix)
    return files[card.main_entry_point]


def _checkpoint_folder(checkpoint: Path, weights: Weights | None) -> Path:
    kind = weights or read_card_of(checkpoint).weights
    name = f"{checkpoint_sha256(checkpoint)[:24]}-{kind}-{__version__}"
    return (cache_folder() / "artefacts") / name


def _is_whole(path: Path) -> bool:
    """Whether a file is the main one of an artefact: a card can be read, and names it."""
    try:
        card = read_card_of(path)
    except StarganDeployError:
        return False
    return any(point.file == path.name for point in card.entry_points.values())


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE, str(LIMIT_BYTES))
    if not text.isdecimal():
        raise UsageError(f"{LIMIT_VARIABLE} is {text!r}", hint="give a number of bytes")
    return int(text)
