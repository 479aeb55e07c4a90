"""What a killed export leaves: a hidden staging folder, and files that it had moved already.

While an export moves its files, a journal in the staging folder names those that are new. Where
the main file, which is moved last, is missing, these are of no use to anyone.
"""

import glob
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

SUFFIX = ".export"
"""Ending of staging folders, which stand next to the main file."""

LOCK = "lock"
"""File in a staging folder that a living export holds locked."""

JOURNAL = "moved.json"
"""File in a staging folder with the names of the files that are moved to where nothing was."""

MIN_AGE_S = 60
"""A younger folder without a journal may be one that is about to be locked."""


def prefix_of(main: Path) -> str:
    """Beginning of the names of an export's staging folders."""
    return f".{main.stem[:80]}."


def write_journal(staging: Path, new: list[Path]) -> None:
    """Note which files are about to appear."""
    (staging / JOURNAL).write_text(json.dumps([path.name for path in new]))


def find_orphans(main: Path) -> set[Path]:
    """Files next to a missing main file that an export moved there before it was killed."""
    if main.exists():
        return set()
    return {
        main.parent / Path(name).name
        for folder in _folders(main)
        for name in _journal(folder)
        if _is_dead(folder)
    }


def remove_leftovers(main: Path) -> None:
    """Remove orphans, and the staging folders whose export was killed."""
    for path in find_orphans(main):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for folder in _folders(main):
        with suppress(OSError):
            is_old = time.time() - folder.stat().st_mtime > MIN_AGE_S
            if (is_old or (folder / JOURNAL).is_file()) and _is_dead(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _folders(main: Path) -> Iterator[Path]:
    yield from main.parent.glob(f"{glob.escape(prefix_of(main))}*{SUFFIX}")


def _journal(folder: Path) -> list[str]:
    try:
        found = json.loads((folder / JOURNAL).read_text())
    except (OSError, ValueError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def _is_dead(folder: Path) -> bool:
    try:
        with FileLock(folder / LOCK, timeout=0):
            return True
    except (OSError, Timeout):
        return False
