"""Writing files so that a reader never sees half of one, and naming their content by hash."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stargan_deploy.errors import OutputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder that becomes `path` when the block succeeds.

    The content is fsynced before the rename, so that after a crash `path` holds either the old
    content or the new one. When the block raises, nothing is left behind.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.tmp"
        temporary.open("xb").close()
        mode = temporary.stat().st_mode
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    try:
        yield temporary
        temporary.chmod(mode)  # some writers replace the file by one that only its owner can read
        _publish(temporary, path)
    except OSError as error:
        raise OutputError(_cannot_write(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


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
        raise OutputError(_cannot_write(Path(path), error)) from error
    return Path(path)


def cache_folder() -> Path:
    """The user's cache folder for this tool, which may not exist; XDG_CACHE_HOME moves it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stargan-deploy"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder; an IR's weights count with it."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else None
    extra = weights.stat().st_size if weights is not None and weights.is_file() else 0
    return path.stat().st_size + extra


def _publish(temporary: Path, path: Path) -> None:
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


def _cannot_write(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
