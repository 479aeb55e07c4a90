"""The few figures of a benchmark that people look for first."""

from collections.abc import Sequence

from stargan_deploy.benchmarking.report.format import (
    IMAGES_PER_S,
    P50_MS,
    ROOFLINE_SHARE,
    drawable,
    is_baseline,
    is_hardly_timed,
    name_across,
    size,
    speedup,
    value_at,
)
from stargan_deploy.benchmarking.results import Row
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.page import Tile

ONE_LEVEL = 1.0
"""Difference, in 8-bit levels, that rounding alone can make."""


def headlines(rows: Sequence[Row]) -> list[Tile]:
    """The best in each respect of the rows that are proven and were called often enough.

    What was not measured is left out.
    """
    proven = [row for row in rows if row.verified and not is_hardly_timed(row)]
    timed = {_place(row) for row in rows if is_baseline(row) and row in proven}
    others = [row for row in proven if not is_baseline(row) and _place(row) in timed]
    smallest = min(map(_extent, proven), default=())
    first = [row for row in proven if _extent(row) == smallest]
    exact = [row for row in first if _is_exact(row)]
    found: list[Tile] = []

    def add(title: str, value: str, row: Row, *words: str) -> None:
        name, batch = name_across(row, rows), f"batch {row.batch_size}"
        note = ", ".join((name, *words, batch, size(row)))
        found.append(Tile(title=title, value=value, note=note))

    for row, p50_ms in _least(drawable(P50_MS, first)):
        add("Lowest latency", digits(p50_ms, "ms"), row)
    for row, p50_ms in _least(drawable(P50_MS, exact)):
        add("Without loss", digits(p50_ms, "ms"), row, "at most one level off")
    for row, speed in _most(drawable(IMAGES_PER_S, proven)):
        add("Images per s", digits(speed), row)
    for row, factor in _most(drawable("speedup", others)):
        add("Speed-up", speedup(factor), row, "over eager FP32")
    for row, rate in _most(drawable("server.arrivals_per_s", proven)):
        bound_ms = value_at(row, "server.latency_bound_ms")
        if rate:
            add("Served in time", f"{digits(rate)}/s", row, f"99% within {digits(bound_ms, 'ms')}")
    credible = [pair for pair in drawable(ROOFLINE_SHARE, proven) if pair[1] <= 1]
    for row, share in _most(credible):
        add("Roofline", percent(share), row, "of what is possible")
    return found


def _least(pairs: Sequence[tuple[Row, float]]) -> list[tuple[Row, float]]:
    """The pair of the least figure, or none."""
    return sorted(pairs, key=lambda pair: pair[1])[:1]


def _most(pairs: Sequence[tuple[Row, float]]) -> list[tuple[Row, float]]:
    """The pair of the greatest figure, or none."""
    return sorted(pairs, key=lambda pair: -pair[1])[:1]


def _place(row: Row) -> tuple[str, str, int, int, int]:
    """Entry point, device, batch and size, which a row shares with its baseline."""
    return row.entry_point, row.device_kind, row.batch_size, row.height, row.width


def _extent(row: Row) -> tuple[int, int]:
    return row.batch_size, row.height * row.width


def _is_exact(row: Row) -> bool:
    error = row.picture_error
    return is_baseline(row) or (error is not None and error.max_difference <= ONE_LEVEL)
