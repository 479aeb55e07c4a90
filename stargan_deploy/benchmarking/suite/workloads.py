"""What is timed, and the clock that times it; both can be replaced in tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Clock(Protocol):
    """What time it is, and waiting; tests pass one that they move themselves."""

    def now_ns(self) -> int:
        """Nanoseconds since some moment; never goes back."""
        ...

    def wait_until_ns(self, moment: int) -> None:
        """Returns at that moment, at once if it is over."""
        ...


class SystemClock:
    """`time.perf_counter_ns`; waits by sleeping, and spins through the last millisecond."""

    def now_ns(self) -> int:
        """Nanoseconds of the performance counter."""
        return time.perf_counter_ns()

    def wait_until_ns(self, moment: int) -> None:
        """Returns within microseconds after the moment, which a sleep alone misses by more."""
        while (left := moment - time.perf_counter_ns()) > 0:
            if left > 2_000_000:
                time.sleep((left - 1_000_000) / 1e9)


class Subject(Protocol):
    """Something whose calls are timed."""

    @property
    def name(self) -> str:
        """Tells it from the others of a measurement."""
        ...

    def call(self, number: int) -> None:
        """Does the work once.

        Args:
            number: counts the calls from 0; inputs vary with it.
        """
        ...

    def synchronize(self) -> None:
        """Returns when the work of all calls is done; the wall clock is read after it."""
        ...

    def device_ms(self) -> float | None:
        """The last call's time by the device's own events; None where it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class HostSubject:
    """A function that returns when its work is done."""

    name: str
    function: Callable[[int], object]

    def call(self, number: int) -> None:
        """Calls the function."""
        self.function(number)

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def device_ms(self) -> None:
        """There is no device with events."""


class CudaSubject:
    """A function that queues work on torch's current CUDA stream, between two events.

    A library that works on a stream of its own (onnxruntime does unless it is given torch's) must
    have waited for it when the function returns; the events then span that wait too.

    Args:
        name: tells it from the others.
        function: what is timed; gets the number of the call.
        device: such as "cuda:0".
    """

    def __init__(self, name: str, function: Callable[[int], object], device: str) -> None:
        import torch

        self.name = name
        self._function = function
        self._device = torch.device(device)
        cuda: Any = torch.cuda  # whose classes have no types
        self._start = cuda.Event(enable_timing=True)
        self._end = cuda.Event(enable_timing=True)

    def call(self, number: int) -> None:
        """Calls the function between two events."""
        import torch

        with torch.cuda.device(self._device):
            self._start.record()
            self._function(number)
            self._end.record()

    def synchronize(self) -> None:
        """Waits for the device."""
        import torch

        torch.cuda.synchronize(self._device)

    def device_ms(self) -> float:
        """Milliseconds between the events of the last call."""
        return float(self._start.elapsed_time(self._end))
