"""Appending to a manifest: one run at a time, whole lines, on the disk before long."""

import contextlib
import errno
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

from filelock import FileLock, Timeout

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

SYNC_LINES = 64
"""Photos that a power cut may make a run forget and repeat."""

SYNC_S = 5.0
"""Seconds of work that a power cut may make a run forget."""

Guard = Callable[[Callable[[], None]], None]
"""Runs a write, and may repeat it while it fails."""

ELSEWHERE = "choose another `output`"

LOCK_S = 0.2
"""Seconds in which a run that is just ending can release its lock."""

NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL))

NO_LOCK_NOTE = "this file system has no file locks, so nothing keeps a second run out of {folder}"


class ManifestWriter:
    """A run's manifest, and the lock that makes it the only run on these photos.

        with ManifestWriter(output) as writer:
            earlier = read_manifests(output)
            ...                                  # decide what to do
            writer.begin(settings, earlier)
            writer.claim(started)              # before their files may appear
            writer.append(record)                # when its files are in place

    The lock is held from `__enter__` on, so that nothing changes between reading and writing. A
    run that never begins leaves no trace. Methods may be called from several threads.

    Args:
        folder: the output folder.
        shard: the part of the photos that the run translates.
        guard: runs each write; a `DiskWait` repeats it while the disk is full.
        clock: seconds that only increase.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shard: Shard = WHOLE,
        guard: Guard = lambda write: write(),
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
        self._lock: FileLock | None = None
        self._pending = b""
        self._num_unsynced = 0
        self._synced_at_s = clock()

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            UsageError: another run works on the same photos.
            OutputError: the manifest cannot be written.
        """
        make_folder(self.path.parent)
        self._lock = _lock(self.path)
        if self._lock is None:
            self.notes = (NO_LOCK_NOTE.format(folder=self.path.parent),)
        try:
            self._descriptor = _open(self.path)
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
        """Write the run's first line.

        Args:
            settings: those of the run.
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

    def claim(self, started: Iterable[StartedRecord]) -> None:
        """Record that files of these photos may appear from now on; on the disk when it returns.

        So a file that a killed run wrote and did not record is known not to be somebody else's.

        Raises:
            OutputError: it cannot be written.
        """
        rows = (replace(record, run=self.run).to_row() for record in started)
        self._write(b"".join(map(to_line, rows)), now=True)

    def append(self, record: PhotoRecord) -> None:
        """Record the end of a photo, all of whose files are in place.

        Raises:
            OutputError: it cannot be written.
        """
        self._write(to_line(replace(record, run=self.run).to_row()))

    def sync(self) -> None:
        """Wait until everything recorded is on the disk.

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
        """Write what is pending, in one call unless the disk fills in the middle of a line."""
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
        """Check the locks of the other manifests that may hold the same photos."""
        for path in manifest_paths(self.path.parent):
            is_other = path.name != self.path.name
            if is_other and self._shard.overlaps(manifest_shard(path.name)) and _is_in_use(path):
                raise _refusal(path)

    def _close(self) -> None:
        """Release the lock, and remove a manifest that nothing was ever written to."""
        if self._descriptor >= 0:
            is_empty = os.fstat(self._descriptor).st_size == 0
            os.close(self._descriptor)
            if is_empty and self._lock is not None:
                with contextlib.suppress(OSError):
                    self.path.unlink()
        if self._lock is not None:
            with contextlib.suppress(OSError):  # Windows removes it on release
                Path(self._lock.lock_file).unlink()
            self._lock.release()


def _lock(path: Path) -> FileLock | None:
    """Take the lock of a manifest; None where there are no locks.

    It is a file of its own, because a locked manifest cannot be read on Windows.

    Raises:
        UsageError: another run has it.
        OutputError: it cannot be written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_S, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise _refusal(path) from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in NO_LOCKS:  # some network file systems
            return None
        raise cannot_write(path, error) from error
    return lock


def _open(path: Path) -> int:
    """Return a descriptor to append to a file, created if missing; follows no link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise OutputError(f"{path} is a link, and not followed", hint=ELSEWHERE)
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutputError(f"{path} is in the way of the manifest", hint=ELSEWHERE)
    return descriptor


def _is_in_use(path: Path) -> bool:
    """Whether a run has the lock of a manifest."""
    if not path.with_name(f".{path.name}.lock").exists():
        return False
    try:
        lock = _lock(path)
    except UsageError:
        return True
    except OutputError:
        return False
    if lock is not None:
        lock.release()
    return False


def _refusal(path: Path) -> UsageError:
    return UsageError(
        f"another run is at work in {path.parent} and writes {path.name}",
        hint=f"wait until it ends, or {ELSEWHERE}",
    )


def _ends_a_line(descriptor: int) -> bool:
    """Whether a file is empty or ends with a line break."""
    if os.fstat(descriptor).st_size == 0:
        return True
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
