"""Appending to a manifest: one run at a time, whole lines, on the disk before long."""

import contextlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from stargan_deploy.batch.manifest.lines import PhotoRecord, RunRecord, StartedRecord, to_line
from stargan_deploy.batch.manifest.reader import (
    Manifests,
    manifest_name,
    manifest_paths,
    manifest_shard,
)
from stargan_deploy.batch.settings import Settings
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.errors import OutputError, UsageError
from stargan_deploy.files.atomic import cannot_write, make_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SYNC_LINES = 64
"""Photos that a power cut may make a run forget, and do again."""

SYNC_S = 5.0
"""Seconds of work that a power cut may make a run forget."""

Guard = Callable[[Callable[[], None]], None]
"""Runs a write, and may repeat it while it fails."""

NO_LOCK_NOTE = (
    "this system or file system has no file locks, so nothing keeps a second run out of {folder}"
)


def _at_once(write: Callable[[], None]) -> None:
    write()


class ManifestWriter:
    """A run's manifest, and its right to be the only run on these photos.

        with ManifestWriter(output) as writer:
            earlier = read_manifests(output)
            ...                                  # what is there to do?
            writer.begin(settings, earlier)
            writer.claim(begun)               # before their files may appear
            writer.append(record)                # when its files are in place

    The lock is held from `__enter__` on, so that nothing changes between reading and writing. A
    run that never begins leaves no trace. Methods may be called from several threads.

    Args:
        folder: the output folder.
        shard: the part of the photos that the run does.
        guard: runs each write, such as `DiskWait`, which repeats it while the disk is full.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shard: Shard = WHOLE,
        guard: Guard = _at_once,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = folder / manifest_name(shard)
        self.run = secrets.token_hex(8)
        self.notes: tuple[str, ...] = ()
        self._shard = shard
        self._guard = guard
        self._clock = clock
        self._mutex = threading.Lock()
        self._descriptor = -1
        self._is_locked = False
        self._pending = b""
        self._num_unsynced = 0
        self._synced_at_s = clock()

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            UsageError: another run works on the same photos.
            OutputError: the manifest cannot be written.
        """
        make_folder(self.path.parent)
        self._descriptor, self._is_locked = _open_locked(self.path)
        if not self._is_locked:
            self.notes = (NO_LOCK_NOTE.format(folder=self.path.parent),)
        try:
            self._refuse_overlap()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # After an error, what could be written is worth keeping, and the error worth more.
            with contextlib.suppress(*(() if error is None else (OutputError,))):
                self.sync()
        finally:
            self._close()

    def begin(self, settings: Settings, earlier: Manifests) -> RunRecord:
        """Writes the run's first line.

        Args:
            settings: what the run is set to.
            earlier: what `read_manifests` gave since the lock was taken.

        Raises:
            OutputError: it cannot be written.
        """
        record = RunRecord(
            run=self.run,
            order=earlier.next_order,
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            settings=settings.to_mapping(),
        )
        fresh_line = b"" if _ends_a_line(self._descriptor) else b"\n"
        self._write(fresh_line + to_line(record.to_row()), now=True)
        _sync_folder(self.path.parent)
        return record

    def claim(self, photos: Iterable[StartedRecord]) -> None:
        """Notes that files of these photos may appear from now on; on the disk when it returns.

        A run that is killed between a file's appearance and its record leaves a file of which it is
        known so that it is not somebody else's.

        Raises:
            OutputError: it cannot be written.
        """
        rows = (replace(begun, run=self.run).to_row() for begun in photos)
        self._write(b"".join(map(to_line, rows)), now=True)

    def append(self, record: PhotoRecord) -> None:
        """Notes the end of a photo, all of whose files are in place.

        Raises:
            OutputError: it cannot be written.
        """
        self._write(to_line(replace(record, run=self.run).to_row()))

    def sync(self) -> None:
        """Waits until all that was noted is on the disk.

        Raises:
            OutputError: it cannot be written.
        """
        self._write(b"", now=True)

    def _write(self, lines: bytes, *, now: bool = False) -> None:
        with self._mutex:
            self._pending += lines
            self._num_unsynced += bool(lines)
            self._guard(self._drain)
            is_due = self._num_unsynced >= SYNC_LINES or self._clock() - self._synced_at_s >= SYNC_S
            if self._num_unsynced and (now or is_due):
                self._guard(self._sync)

    def _drain(self) -> None:
        """Writes what is pending, in one call unless the disk fills in the midst of a line."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._descriptor, self._pending) :]
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._num_unsynced = 0
        self._synced_at_s = self._clock()

    def _refuse_overlap(self) -> None:
        """Looks at the locks of the other manifests that may hold the same photos."""
        for path in manifest_paths(self.path.parent):
            is_other = path.name != self.path.name
            if is_other and self._shard.overlaps(manifest_shard(path.name)) and _is_in_use(path):
                raise _refusal(path)

    def _close(self) -> None:
        """Lets go of the lock, and of a manifest that nothing was ever written to."""
        with contextlib.suppress(OSError):
            if self._is_locked and os.fstat(self._descriptor).st_size == 0:
                self.path.unlink()
        os.close(self._descriptor)


def _open_locked(path: Path) -> tuple[int, bool]:
    """A descriptor to append by, and whether it is locked; not where there are no locks."""
    while True:
        descriptor = _open(path)
        is_locked = _lock(descriptor, exclusive=True)
        if is_locked is False:
            os.close(descriptor)
            raise _refusal(path)
        if is_locked is None or _is_at(path, descriptor):
            return descriptor, bool(is_locked)
        os.close(descriptor)  # its last owner removed it meanwhile


def _open(path: Path) -> int:
    """A descriptor to append to a file, which is made where there is none; follows no link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise OutputError(f"{path} is a link, and not followed; choose another --output")
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutputError(f"{path} is in the way of the manifest; choose another --output")
    return descriptor


def _lock(descriptor: int, *, exclusive: bool) -> bool | None:
    """Whether the lock was to be had; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def _is_in_use(path: Path) -> bool:
    """Whether a run has the lock of a manifest."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _lock(descriptor, exclusive=False) is False
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(path: Path) -> UsageError:
    return UsageError(
        f"another run is at work in {path.parent} and writes {path.name}; wait until it ends, or "
        "choose another --output"
    )


def _ends_a_line(descriptor: int) -> bool:
    """Whether a file is empty or ends with a line break."""
    if os.fstat(descriptor).st_size == 0:
        return True
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Makes a new file's name survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
