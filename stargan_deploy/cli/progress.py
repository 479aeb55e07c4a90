"""Progress on stderr: a bar on a terminal, elsewhere a plain line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stargan_deploy.cli.console import is_quiet, say
from stargan_deploy.progress import OnProgress

LINE_EVERY_S = 10.0
"""Seconds between two plain lines."""


@contextmanager
def progress(unit: str) -> Iterator[OnProgress]:
    """Yield a function that shows the progress of some work.

    Args:
        unit: what is counted, in the plural.
    """
    if is_quiet() or not sys.stderr.isatty():
        yield _PlainLines(unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None, visible=False)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, visible=done < total
        )


class _PlainLines:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._start: float | None = None  # a model may have to be opened before the work starts
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._start is None or done <= 1:
            self._start = self._last = now
        if now - self._last >= LINE_EVERY_S and done < total:
            self._last = now
            rate = done / (now - self._start)
            say(f"{done} of {total} {self._unit}, {rate:.1f} {self._unit}/s")
