"""Finding the photos of a batch: a file, or everything that looks like one below a folder."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from stargan_deploy.batch.report import Failure
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import IMAGE_SUFFIXES

FolderId = tuple[int, int]
"""Device and inode: the folder itself, whatever path leads there."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a batch found to do."""

    root: Path
    photos: tuple[PurePosixPath, ...]
    """Photos by path below `root`, sorted."""
    failures: tuple[Failure, ...] = ()
    """Folders that could not be listed."""


def list_photos(source: Path, *, skip: Path) -> Listing:
    """Lists a folder's photos with those of its subfolders, or a single file.

    Hidden files and folders are passed over. Links to folders are followed, but every folder is
    visited once, so that a loop of links ends; real folders come before links to them.

    Args:
        source: a folder, or a file of any name.
        skip: a folder that is left out, because the results go there.

    Raises:
        DataError: there is no such file or folder, or no photo in it.
    """
    if source.is_file():
        return Listing(root=source.parent, photos=(PurePosixPath(source.name),))
    if not source.is_dir():
        raise DataError(f"no such file or folder: {source}")
    walk = _Walk(source, _folder_id(skip))
    photos = tuple(sorted(walk.photos()))
    if not photos:
        reason = f"; {walk.failures[0].reason}" if walk.failures else ""
        raise DataError(
            f"no images in {source}{reason}; looked for files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return Listing(root=source, photos=photos, failures=tuple(walk.failures))


class _Walk:
    """One pass over a tree."""

    def __init__(self, root: Path, skip: FolderId | None) -> None:
        self._root = root
        self._seen = set() if skip is None else {skip}
        self._links: list[PurePosixPath] = []
        self.failures: list[Failure] = []

    def photos(self) -> Iterator[PurePosixPath]:
        """Photos of the real folders, then of those that only links lead to."""
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
                    if _is_photo(entry):
                        yield place
                elif entry.is_symlink():
                    self._links.append(place)
                else:
                    pending.append(place)

    def _entries(self, folder: PurePosixPath) -> list[os.DirEntry[str]]:
        """What is visible in a folder that was not visited before."""
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
            self.failures.append(Failure(path=printable(folder), reason=reason))
            return []


def printable(name: PurePath | str) -> str:
    """A path, or a text with paths in it, that can be written as UTF-8 even where it is not."""
    text = name if isinstance(name, str) else name.as_posix()
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def same_name_key(path: PurePosixPath) -> str:
    """Equal for paths that some file systems take for one: by case or by composed accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path.as_posix()).casefold())


def _folder_id(path: Path) -> FolderId | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_photo(entry: os.DirEntry[str]) -> bool:
    """Whether a name ends like an image's and is a file, or a broken link that must be reported."""
    if PurePosixPath(entry.name).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    try:
        return entry.is_file() or entry.is_symlink()
    except OSError:
        return True
