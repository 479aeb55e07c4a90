"""A hot folder: photos are translated as they arrive."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from stargan_deploy.batch.plan import BatchJob, BatchPlan, Photo, plan_batch
from stargan_deploy.errors import DataError
from stargan_deploy.stop_signals import StopSignals

POLL_S = 1.0

Look = tuple[int, int]
"""Size and time of a file, which change while it is being written."""


def watch(
    job: BatchJob, *, poll_s: float = POLL_S, sleep: Callable[[float], None] = time.sleep
) -> Iterator[BatchPlan]:
    """Yield plans of photos that are new or changed, until a signal arrives.

    A photo is taken once its size and time are the same at two looks; each state of a file is taken
    once, also where it failed.

    Args:
        job: what to make of the photos.
        poll_s: seconds between two looks.
        sleep: pauses for some seconds.

    Raises:
        UsageError: as `plan_batch`.
    """
    before: dict[Path, Look] = {}
    taken: dict[Path, Look] = {}
    with StopSignals() as stop:
        while stop.received is None:
            plan = _plan(job)
            now = _looks(plan.photos)
            settled = [p for p in plan.photos if _is_settled(p.path, before, now, taken)]
            if settled:
                taken |= {photo.path: now[photo.path] for photo in settled}
                yield replace(plan, photos=tuple(settled))
            before = now
            sleep(poll_s)


def _plan(job: BatchJob) -> BatchPlan:
    try:
        return plan_batch(job)
    except DataError:  # nothing there yet, or the folder is away for a moment
        return BatchPlan(job=job, photos=(), renamed={}, failures=())


def _looks(photos: tuple[Photo, ...]) -> dict[Path, Look]:
    looks = {}
    for photo in photos:
        try:
            status = photo.path.stat()
        except OSError:  # it vanished at once
            continue
        looks[photo.path] = (status.st_size, status.st_mtime_ns)
    return looks


def _is_settled(
    path: Path, before: dict[Path, Look], now: dict[Path, Look], taken: dict[Path, Look]
) -> bool:
    return path in now and before.get(path) == now[path] != taken.get(path)
