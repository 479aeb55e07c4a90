"""TensorRT's timings and compiled kernels, kept in the user's cache folder between runs.

A cache only saves time: one that is missing, damaged or of another version is made again, and one
that cannot be written is not kept.
"""

import hashlib
import logging
import re
from pathlib import Path
from typing import Literal

from stargan_deploy.errors import OutputError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.files.cache import cache_folder

FOLDER = "tensorrt"

NUM_KEPT = 32
"""Caches of one kind that are kept; the oldest go first."""

_log = logging.getLogger(__name__)


def cache_path(kind: Literal["timing", "runtime"], *key: str) -> Path:
    """Path of a cache.

    Args:
        kind: "timing" of a builder, "runtime" of compiled kernels.
        key: what it holds for, such as provider, version and GPU.
    """
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    readable = re.sub(r"[^\w.-]+", "_", "-".join(key[:2]))
    return cache_folder() / FOLDER / f"{readable}-{digest}.{kind}"


def read_cache(path: Path) -> bytes:
    """A cache's content; empty where there is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def keep_cache(path: Path, content: bytes) -> None:
    """Writes a cache and removes the oldest ones of its kind."""
    try:
        write_bytes(path, content)
        siblings = sorted(path.parent.glob(f"*{path.suffix}"), key=lambda p: p.stat().st_mtime)
        for old in siblings[:-NUM_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, OutputError) as error:
        _log.warning("the next run will not be faster for this one: %s", error)
