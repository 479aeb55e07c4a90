"""The fastest of many calls, for limits of a machine: whatever slows a call down is no limit."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

Work = Callable[[], object]
"""Does something once; on a GPU it only starts it."""

Stopwatch = Callable[[Work, float], float]
"""Seconds of the fastest call within a slot of seconds, and at least one call."""

GROUP = 8
"""Calls that a GPU is given at a time."""


def stopwatch(device: str) -> Stopwatch:
    """The stopwatch that suits "cpu" or a "cuda:N" device."""
    return _cpu_seconds if device == "cpu" else functools.partial(_cuda_seconds, device)


def _cpu_seconds(work: Work, slot_s: float) -> float:
    best = math.inf
    end = time.perf_counter() + slot_s
    while True:
        start = time.perf_counter()
        work()
        stop = time.perf_counter()
        best = min(best, stop - start)
        if stop >= end:
            return best


def _cuda_seconds(device: str, work: Work, slot_s: float) -> float:
    """Times groups of calls by the GPU's own events, so that starting them does not count."""
    import torch

    best = math.inf
    end = time.perf_counter() + slot_s
    with torch.cuda.device(device):
        while True:
            best = min(best, _group_seconds(work))
            if time.perf_counter() >= end:
                return best


def _group_seconds(work: Work) -> float:
    """Mean time of the calls of one group."""
    start, stop = _timing_event(), _timing_event()
    start.record()
    for _ in range(GROUP):
        work()
    stop.record()
    stop.synchronize()
    return float(start.elapsed_time(stop)) / 1e3 / GROUP


def _timing_event() -> Any:
    import torch

    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
