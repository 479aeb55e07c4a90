"""Waiting for space on a full disk, so that a long run continues by itself."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stargan_deploy.errors import DiskFullError, OutputError
from stargan_deploy.files.atomic import NO_SPACE, write_bytes

T = TypeVar("T")

FIRST_PAUSE_S = 1.0

LONGEST_PAUSE_S = 30.0


class DiskWait:
    """Runs writes, and repeats those that a full disk stops until there is room or time is up.

    All threads of a run share one: it says once that it waits, and after it has given up it never
    waits again.

    Args:
        folder: the folder written to, for messages.
        wait_s: how long a write is repeated, in seconds; 0 never waits.
        say: called once per wait.
        clock: seconds that only increase.
        sleep: pauses for some seconds; by default until then or until `give_up`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wait_s: float,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._folder = folder
        self._wait_s = wait_s
        self._say = say
        self._clock = clock
        self._over = threading.Event()
        self._sleep = sleep or self._over.wait
        self._mutex = threading.Lock()
        self._num_waiting = 0

    def __call__(self, write: Callable[[], T]) -> T:
        """Run a write, again and again while the disk is full.

        Args:
            write: can be repeated after it failed.

        Returns:
            What the write returned.

        Raises:
            DiskFullError: the disk stayed full.
        """
        deadline_s, pause_s = None, FIRST_PAUSE_S
        try:
            while True:
                try:
                    return write()
                except (OSError, OutputError) as error:
                    if not is_disk_full(error):
                        raise
                    if deadline_s is None:
                        deadline_s = self._clock() + self._wait_s
                        self._begin()
                    left_s = deadline_s - self._clock()
                    if left_s <= 0 or self._over.is_set():
                        self.give_up()
                        raise self._failure(error) from error
                self._sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            if deadline_s is not None:
                with self._mutex:
                    self._num_waiting -= 1

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Write a file atomically, when there is room for it.

        Raises:
            OutputError: it cannot be written.
            DiskFullError: the disk stayed full.
        """
        self(lambda: write_bytes(path, content))

    def give_up(self) -> None:
        """End all waiting, now and later; called by a run that is to stop."""
        self._over.set()

    def _begin(self) -> None:
        with self._mutex:
            self._num_waiting += 1
            is_first = self._num_waiting == 1 and self._wait_s > 0 and not self._over.is_set()
        if is_first:
            waited = in_words(self._wait_s)
            self._say(f"disk full: waiting up to {waited} for space in {self._folder}")

    def _failure(self, full: OSError | OutputError) -> DiskFullError:
        reason = full.strerror if isinstance(full, OSError) else full.message
        waited = f", and no space after {in_words(self._wait_s)}" if self._wait_s else ""
        hint = f"free space in {self._folder}, then give the same command with `resume`"
        return DiskFullError(f"disk full{waited}: {reason}", hint=hint)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error is a full disk or quota, or was caused by one."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, OSError) and cause.errno in NO_SPACE:
            return True
        seen.add(id(cause))
        cause = cause.__cause__
    return False


def in_words(seconds: float) -> str:
    """Return a waiting time as text: `10 min`, `45 s`."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
