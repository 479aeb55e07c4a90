"""Until when the result of a request is wanted, and whether anybody still waits for it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TypeVar

from stargan_deploy.serving.problems import ClientLeftError, DeadlineError

T = TypeVar("T")

LEFT = "the client left"

TIMED_OUT = "the request took longer than its time limit"


class Ticket:
    """Goes with a request through its threads.

    Args:
        timeout_s: how long its result is wanted, in seconds.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end_s = clock() + timeout_s
        self._lock = threading.Lock()
        self._awaited: Future[object] | None = None
        self._is_cancelled = False

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self._end_s - self._clock())

    @property
    def is_over(self) -> bool:
        """Whether the result is no longer wanted."""
        return self._is_cancelled or self.remaining_s == 0

    def shorten(self, timeout_s: float | None) -> None:
        """Move the deadline to at most so many seconds from now; None leaves it."""
        if timeout_s is not None:
            self._end_s = min(self._end_s, self._clock() + timeout_s)

    def cancel(self) -> None:
        """Say that nobody waits for the result; what the request waits for is given up."""
        with self._lock:
            self._is_cancelled = True
            awaited = self._awaited
        if awaited is not None:
            awaited.cancel()

    def check(self) -> None:
        """Stop work whose result is no longer wanted.

        Raises:
            ClientLeftError, DeadlineError: it is not.
        """
        if self._is_cancelled:
            raise ClientLeftError(LEFT)
        if self.remaining_s == 0:
            raise DeadlineError(TIMED_OUT)

    def wait(self, future: "Future[T]") -> T:
        """The result of a future.

        Raises:
            ClientLeftError, DeadlineError: it is no longer wanted; the future is cancelled.
            Exception: what the future ends with.
        """
        with self._lock:
            self._awaited = future  # type: ignore[assignment]
        try:
            self.check()
            return future.result(timeout=self.remaining_s)
        except CancelledError as error:
            raise ClientLeftError(LEFT) from error
        except TimeoutError as error:
            if future.done():  # the result itself is one
                raise
            raise DeadlineError(TIMED_OUT) from error
        finally:
            future.cancel()
            with self._lock:
                self._awaited = None
