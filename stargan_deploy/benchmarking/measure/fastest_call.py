"""Time of the fastest of many calls, for limits of a machine: a delay does not lower a limit."""

import math
import time
from collections.abc import Callable
from typing import Any

from stargan_deploy.devices import Device

Work = Callable[[], object]
"""Does something once; on a GPU it only starts it."""

GROUP = 8
"""Calls that a GPU is given at a time."""


def fastest_call_s(work: Work, device: Device, slot_s: float) -> float:
    """Calls for a time, at least once; returns the seconds of the fastest call.

    Args:
        work: what to call.
        device: where it computes.
        slot_s: how long to measure, in seconds.
    """
    measure = _cuda_group_s if device.is_cuda else _call_s
    best, end = math.inf, time.perf_counter() + slot_s
    while True:
        best = min(best, measure(work, device))
        if time.perf_counter() >= end:
            return best


def _call_s(work: Work, _device: Device) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _cuda_group_s(work: Work, device: Device) -> float:
    """Mean time of the calls of a group by the GPU's events, so that launching does not count."""
    import torch

    cuda: Any = torch.cuda  # whose classes have no types
    with cuda.device(device.to_torch()):
        start, stop = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        start.record()
        for _ in range(GROUP):
            work()
        stop.record()
        stop.synchronize()
    return float(start.elapsed_time(stop)) / 1e3 / GROUP
