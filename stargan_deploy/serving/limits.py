"""Limits of the service, and the places in its queue."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stargan_deploy.config import refuse_below
from stargan_deploy.errors import UsageError
from stargan_deploy.serving.problems import ClosingError, OverloadedError, TooLargeError

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much clients may ask of the service."""

    queue: int = 256
    """Requests that may wait or be worked on at the same time; further ones are answered 429."""
    max_body_mib: int = 32
    """Largest body of a request in MiB."""
    max_megapixels: int = 64
    """Largest photo in millions of pixels, as its header says."""
    max_images: int = 16
    """Largest number of photos in a request."""
    max_results: int = 64
    """Largest number of images that a request may ask for."""
    max_size: int = 1024
    """Largest side in pixels of the squares that a request may have translated."""
    timeout_s: int = 30
    """Longest time for a request, its upload included, in seconds."""
    max_held_mib: int = 1024
    """Memory for bodies of requests that are being received or worked on, in MiB; beyond it
    requests are answered 429."""

    def __post_init__(self) -> None:
        try:
            refuse_below(1, vars(self))
        except ValueError as error:
            name, _, rest = str(error).partition(" ")
            raise UsageError(f"`{name}` {rest}") from error

    @property
    def max_body_bytes(self) -> int:
        """`max_body_mib` in bytes."""
        return self.max_body_mib * MIB

    def check_images(self, num_images: int, num_results: int) -> None:
        """Refuse a request for too much.

        Raises:
            TooLargeError: too many photos or results.
        """
        if num_images > self.max_images:
            raise TooLargeError(f"{num_images} images are too many; at most {self.max_images}")
        if num_results > self.max_results:
            raise TooLargeError(
                f"{num_results} results are too many; at most {self.max_results}",
                hint="ask for fewer targets or images at a time",
            )

    def check_size(self, size: int | str | None) -> None:
        """Refuse squares of a side that would keep the model from everybody else.

        Args:
            size: in pixels; None and "photo" take the model's own.

        Raises:
            TooLargeError: too large.
        """
        if isinstance(size, int) and size > self.max_size:
            raise TooLargeError(
                f"{size}x{size} pixels are too many; at most {self.max_size}x{self.max_size}"
            )


class Admission:
    """The places in the queue, and the memory that bodies take; used by one thread.

    Args:
        limits: how many there are.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held_bytes = 0
        self.num_inside = 0
        """Requests that have a place."""
        self.is_closed = False
        """Whether no request gets a place any more."""

    @contextmanager
    def place(self, retry_after_s: int) -> Iterator[None]:
        """Hold a place for a block.

        Raises:
            OverloadedError: there is none.
        """
        self._check_places(retry_after_s)
        self.num_inside += 1
        try:
            yield
        finally:
            self.num_inside -= 1

    def check(self, retry_after_s: int) -> None:
        """Refuse a request before its body is received.

        Raises:
            OverloadedError: there is no place.
            ClosingError: the service is shutting down; requests that are here are finished.
        """
        if self.is_closed:
            raise ClosingError("the service is shutting down")
        self._check_places(retry_after_s)

    def _check_places(self, retry_after_s: int) -> None:
        if self.num_inside >= self._limits.queue:
            raise OverloadedError(retry_after_s)

    def hold(self, num_bytes: int, retry_after_s: int) -> None:
        """Count bytes of a body that is being held.

        Raises:
            OverloadedError: they are too many.
        """
        if self._held_bytes + num_bytes > self._limits.max_held_mib * MIB:
            raise OverloadedError(retry_after_s)
        self._held_bytes += num_bytes

    def release(self, num_bytes: int) -> None:
        """Count bytes of a body that is no longer held."""
        self._held_bytes -= num_bytes


class Hands:
    """How many threads decode, cut, compose and encode at the same time.

    Args:
        num: of them; threads above it wait, so that many large photos need no more memory than a
            few, and leave the engine its cores.
    """

    def __init__(self, num: int) -> None:
        self._free = threading.Semaphore(num)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do a block when a hand is free."""
        with self._free:
            yield
