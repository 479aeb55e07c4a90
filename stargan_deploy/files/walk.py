"""Finding the images below a folder: one walk for training, calibration, proof, check and batch.

Hidden files and folders are skipped, and so are the folders that file servers, desktops and
archives add. Links to folders are followed, but every folder is visited once, so that a loop of
links ends; real folders come before links to them.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from stargan_deploy.errors import DataError, first_names
from stargan_deploy.files.formats import (
    HEIF_HINT,
    HEIF_SUFFIXES,
    OTHER_SUFFIXES,
    UNREAD_SUFFIXES,
    is_read,
    is_unnamed_photo,
)

SYSTEM_FOLDERS = frozenset(
    name.casefold()
    for name in (
        "@eaDir",
        "@Recycle",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
    )
)
"""Folders, in lower case, that hold thumbnails, deleted files and metadata instead of photos."""

MAX_NAMED = 3
"""Folders that a note names."""

_FolderId = tuple[int, int]
"""Device and inode: the folder itself, whatever path leads there."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A folder that could not be listed."""

    path: PurePosixPath
    """Path below the root."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """The images below a folder."""

    images: tuple[PurePosixPath, ...]
    """Paths below the root, sorted; among them broken links, so that they are reported."""
    unreadable: tuple[Unreadable, ...] = ()
    left_out: tuple[PurePosixPath, ...] = ()
    """System folders that were skipped."""
    num_unread: Mapping[str, int] = field(default_factory=dict)
    """Number of photos and videos that are not read, by their ending."""
    broken_links: tuple[PurePosixPath, ...] = ()
    """Links that lead nowhere, without the ending of an image: perhaps to folders."""

    @property
    def note(self) -> str:
        """A line about what was left out, or nothing."""
        parts = []
        if self.num_unread:
            endings = ", ".join(f"{ending} {num}" for ending, num in self.num_unread.items())
            number = sum(self.num_unread.values())
            parts.append(f"left out: {number} file{'' if number == 1 else 's'} ({endings})")
            if HEIF_SUFFIXES & self.num_unread.keys():
                parts.append(f"for HEIC, {HEIF_HINT}")
        if self.left_out:
            names = first_names(list(map(str, self.left_out)), MAX_NAMED)
            parts.append(f"left out system folders: {names}")
        if self.broken_links:
            names = first_names(list(map(str, self.broken_links)), MAX_NAMED)
            parts.append(f"left out links that lead nowhere: {names}")
        return "; ".join(parts)


def find_images(root: Path, *, skip: Path | None = None) -> Found:
    """Lists the images below a folder, by their names' endings.

    Args:
        root: the folder.
        skip: a folder that is left out.
    """
    walk = _Walk(root, None if skip is None else _folder_id(skip))
    images = tuple(sorted(walk.images()))
    return Found(
        images=images,
        unreadable=tuple(walk.unreadable),
        left_out=tuple(sorted(walk.left_out)),
        num_unread=dict(walk.num_unread.most_common()),
        broken_links=tuple(sorted(walk.broken_links)),
    )


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted.

    Raises:
        DataError: it, or a folder below it, cannot be listed.
    """
    found = find_images(folder)
    if found.unreadable:
        raise DataError(found.unreadable[0].reason)
    return [folder / image for image in found.images]


def holds_images(folder: Path) -> bool:
    """Whether there is an image below a folder; ends at the first one."""
    return next(_Walk(folder, None).images(), None) is not None


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted by name; links to it or above it are left out."""
    above = {_folder_id(place) for place in (folder, *folder.resolve().parents)}
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if not _is_skipped(e.name) and _is_folder(e))
    return [folder / name for name in names if _folder_id(folder / name) not in above]


def found_at(path: Path) -> Literal["folder", "file", "nothing"]:
    """Whether a folder, a file or nothing is at a path, however odd the path is."""
    try:
        return "folder" if path.is_dir() else "file" if path.exists() else "nothing"
    except (OSError, ValueError):  # for example a name that is too long
        return "nothing"


class _Walk:
    """One pass over a tree."""

    def __init__(self, root: Path, skip: _FolderId | None) -> None:
        self._root = root
        self._seen = set() if skip is None else {skip}
        self._links: list[PurePosixPath] = []
        self.unreadable: list[Unreadable] = []
        self.left_out: list[PurePosixPath] = []
        self.num_unread: Counter[str] = Counter()
        self.broken_links: list[PurePosixPath] = []

    def images(self) -> Iterator[PurePosixPath]:
        """Images of the real folders, then of those that only links lead to."""
        yield from self._below(PurePosixPath())
        while self._links:
            self._links.sort()
            yield from self._below(self._links.pop(0))

    def _below(self, top: PurePosixPath) -> Iterator[PurePosixPath]:
        pending = [top]
        while pending:
            folder = pending.pop()
            for entry in self._entries(folder):
                place = folder / entry.name
                if not _is_folder(entry):
                    kind = _kind_of(entry)
                    self.num_unread.update([kind] if kind not in ("image", "") else [])
                    if kind == "image":
                        yield place
                    elif _leads_nowhere(entry):
                        self.broken_links.append(place)
                elif _is_skipped(entry.name):
                    self.left_out.append(place)
                elif entry.is_symlink():
                    self._links.append(place)
                else:
                    pending.append(place)

    def _entries(self, folder: PurePosixPath) -> list[os.DirEntry[str]]:
        """The entries that are not hidden, of a folder that was not visited before."""
        path = self._root / folder
        identity = _folder_id(path)
        if identity in self._seen:
            return []
        if identity is not None:
            self._seen.add(identity)
        try:
            with os.scandir(path) as entries:
                return sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
        except OSError as error:
            reason = f"cannot list {path}: {error.strerror or error}"
            self.unreadable.append(Unreadable(path=folder, reason=reason))
            return []


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def _folder_id(path: Path) -> _FolderId | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()


def _kind_of(entry: os.DirEntry[str]) -> str:
    """Says "image", or the ending of another photo or video, or nothing of anything else.

    A broken link to an image must be reported, so it is one; a file without an ending is what its
    first bytes say.
    """
    suffix = PurePosixPath(entry.name).suffix.lower()
    try:
        is_file, is_link = entry.is_file(), entry.is_symlink()
    except OSError:
        is_file, is_link = True, False
    if is_read(suffix):
        return "image" if is_file or is_link else ""
    if not is_file or suffix in OTHER_SUFFIXES:
        return ""
    is_photo = suffix in UNREAD_SUFFIXES or is_unnamed_photo(Path(entry.path))
    return (suffix or "image") if is_photo else ""
