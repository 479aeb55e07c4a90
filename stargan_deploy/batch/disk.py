"""A full disk: waiting for somebody to make room, so that a night's run goes on by itself."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from stargan_deploy.errors import DiskFullError, OutputError
from stargan_deploy.files.atomic import NO_SPACE, write_bytes

T = TypeVar("T")

FIRST_PAUSE_S = 1.0

LONGEST_PAUSE_S = 30.0


class DiskWait:
    """Runs writes, and repeats those that a full disk stops until there is room or time is up.

    One for all threads of a run: it tells once that it waits, whoever waits, and when it has given
    up it never waits again.

    Args:
        folder: what is written to, for messages.
        wait_s: how long a write is repeated, in seconds; 0 never waits.
        say: told once in each wait.
        clock: seconds that only go forward.
        sleep: pauses for some seconds; by default until that time or `give_up`.
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
        """Runs a write, again and again while the disk is full.

        Args:
            write: can be repeated after it failed.

        Returns:
            What the write returned.

        Raises:
            DiskFullError: the disk stayed full.
        """
        try:
            return write()
        except (OSError, OutputError) as error:
            if not is_disk_full(error):
                raise
            full: Exception = error
        deadline_s = self._clock() + self._wait_s
        with self._waiting():
            for pause_s in self._pauses(deadline_s):
                self._sleep(pause_s)
                try:
                    return write()
                except (OSError, OutputError) as error:
                    if not is_disk_full(error):
                        raise
                    full = error
        self.give_up()
        raise DiskFullError(self._last_words(full)) from full

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Writes a file atomically, when there is room for it.

        Raises:
            OutputError: it cannot be written.
            DiskFullError: the disk stayed full.
        """
        self(lambda: write_bytes(path, content))

    def give_up(self) -> None:
        """Ends all waiting, now and later; a run that is told to stop calls it."""
        self._over.set()

    def _pauses(self, deadline_s: float) -> Iterator[float]:
        """Longer and longer ones, in seconds, of which the last ends at the deadline."""
        pause_s = FIRST_PAUSE_S
        while not self._over.is_set() and (left_s := deadline_s - self._clock()) > 0:
            yield min(pause_s, left_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with self._mutex:
            is_first = self._num_waiting == 0 and self._wait_s > 0 and not self._over.is_set()
            self._num_waiting += 1
        if is_first:
            self._say(
                f"disk full: waiting up to {in_words(self._wait_s)} for space in {self._folder}"
            )
        try:
            yield
        finally:
            with self._mutex:
                self._num_waiting -= 1

    def _last_words(self, full: Exception) -> str:
        reason = full.strerror if isinstance(full, OSError) else str(full).partition(";")[0]
        waited = f", and no space after {in_words(self._wait_s)}" if self._wait_s else ""
        return (
            f"disk full{waited}: {reason}; free space in {self._folder}, then give the same "
            "command with --resume"
        )


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
    """A waiting time: `10 min`, `45 s`."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
