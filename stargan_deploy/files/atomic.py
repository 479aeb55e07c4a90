"""Writing files atomically, and identifying their content by hash."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stargan_deploy.errors import DiskFullError, OutputError

NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT))
"""Error numbers of a full disk and of a quota that is used up."""

_TEMPORARY_NAME = re.compile(r"\..*\.([0-9a-f]{16})\.[0-9a-f]{12}\.tmp", re.DOTALL)
"""Names of `atomic_path`'s files; the group is the digest of the final name."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder that becomes `path` when the block succeeds.

    The content is fsynced before the rename, so that after a crash `path` holds either the old
    content or the new one. When the block raises, nothing is left behind.

    Raises:
        OutputError: the folder cannot be made or written.
        DiskFullError: there is no space left.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_path(path)
        temporary.open("xb").close()
        mode = temporary.stat().st_mode
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield temporary
        temporary.chmod(mode)  # some writers replace the file by one that only its owner can read
        _publish(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(paths: Iterable[Path]) -> int:
    """Removes the temporary files that killed writers of some files left, and no others.

    No other process may be writing these files at the time.

    Args:
        paths: the final paths, which may exist or not.

    Returns:
        The number of files removed.
    """
    names: dict[Path, list[str]] = {}
    for path in paths:
        names.setdefault(path.parent, []).append(path.name)
    return sum(_remove_temporaries_in(folder, names[folder]) for folder in names)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes a UTF-8 text file atomically."""
    write_bytes(path, content.encode("utf-8"))


def copy_file(source: Path, path: Path) -> None:
    """Copies a file atomically; a hard link where the file system has them.

    Raises:
        OutputError: the copy cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def make_folder(path: Path) -> Path:
    """Makes a folder with its parents.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return Path(path)


def missing_folders(path: Path) -> list[Path]:
    """A folder and those of its parents that do not exist, the inner ones first."""
    return [place for place in (path, *path.parents) if not os.path.lexists(place)]


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders, the inner ones first, up to one that is not empty or cannot be removed."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_folder(path: Path) -> None:
    """Checks that files can be written to a folder, which need not exist; leaves nothing behind.

    It tries, because permissions do not show a read-only file system, or root's in /proc.

    Raises:
        OutputError: they cannot.
    """
    try:
        folder = Path(path).absolute()
        nearest = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
        tempfile.TemporaryDirectory(prefix=".stargan-deploy-", dir=nearest).cleanup()
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error to raise for one of the system's; a `DiskFullError` where the disk is full."""
    kind = DiskFullError if error.errno in NO_SPACE else OutputError
    reason = error.strerror or error
    return kind(f"cannot write {path}: {reason}", hint="free space or choose another folder")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _temporary_path(path: Path) -> Path:
    """A fresh name in the same folder, by which `remove_temporaries` recognises its file."""
    token = secrets.token_hex(6)
    return path.parent / f".{path.name[:40]}.{_name_digest(path.name)}.{token}.tmp"


def _name_digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _remove_temporaries_in(folder: Path, names: Iterable[str]) -> int:
    try:
        with os.scandir(folder) as entries:
            found = [m for entry in entries if (m := _TEMPORARY_NAME.fullmatch(entry.name))]
    except OSError:  # no such folder yet
        return 0
    digests = {_name_digest(name) for name in names} if found else set()
    leftovers = [folder / match[0] for match in found if match[1] in digests]
    for leftover in leftovers:
        with contextlib.suppress(OSError):
            leftover.unlink()
    return len(leftovers)


def _publish(temporary: Path, path: Path) -> None:
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
