"""The workloads that are timed, and the clock that times them; tests replace both."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from stargan_deploy.devices import Device


class Clock:
    """`time.perf_counter_ns`; tests pass a clock that they move themselves."""

    def now_ns(self) -> int:
        """Nanoseconds since some moment; never decreases."""
        return time.perf_counter_ns()

    def wait_until_ns(self, moment: int) -> None:
        """Returns within microseconds after a moment, at once if it has passed.

        It sleeps, and spins through the last millisecond, by which a sleep may be late.
        """
        while (left := moment - time.perf_counter_ns()) > 0:
            if left > 2_000_000:
                time.sleep((left - 1_000_000) / 1e9)


class Workload(ABC):
    """Something whose calls are timed.

    Args:
        name: unique within a measurement.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def call(self, number: int) -> None:
        """Does the work once.

        Args:
            number: counts the calls from 0; inputs vary with it.
        """

    def synchronize(self) -> None:  # noqa: B027 - most work is done when a call returns
        """Returns when the work of all calls is done; the wall clock is read after it."""

    def device_ms(self) -> float | None:
        """Time of the last call by the device's own events; None if it has none."""
        return None


class HostWorkload(Workload):
    """A function that returns when its work is done.

    Args:
        name: unique within a measurement.
        function: what is timed; receives the number of the call.
    """

    def __init__(self, name: str, function: Callable[[int], object]) -> None:
        super().__init__(name)
        self._function = function

    def call(self, number: int) -> None:
        """Calls the function."""
        self._function(number)


class CudaWorkload(Workload):
    """A function that queues work on torch's current CUDA stream, between two events.

    A library that works on a stream of its own (onnxruntime does unless it is given torch's) must
    have waited for it when the function returns; the events then span that wait too.

    Args:
        name: unique within a measurement.
        function: what is timed; receives the number of the call.
        device: the GPU.
    """

    def __init__(self, name: str, function: Callable[[int], object], device: Device) -> None:
        import torch

        super().__init__(name)
        self._function = function
        self._device = device
        cuda: Any = torch.cuda  # whose classes have no types
        self._start = cuda.Event(enable_timing=True)
        self._end = cuda.Event(enable_timing=True)

    def call(self, number: int) -> None:
        """Calls the function between two events."""
        import torch

        with torch.cuda.device(self._device.to_torch()):
            self._start.record()
            self._function(number)
            self._end.record()

    def synchronize(self) -> None:
        """Waits for the device."""
        self._device.synchronize()

    def device_ms(self) -> float:
        """Milliseconds between the events of the last call."""
        return float(self._start.elapsed_time(self._end))
