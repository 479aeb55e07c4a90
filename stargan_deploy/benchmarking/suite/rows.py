"""Puts what was found of a contestant together as a row of the results."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from stargan_deploy.backends.difference import (
    TOLERANCES,
    Difference,
    compare_images,
    is_within,
    limits_for,
    precision_of,
)
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.benchmarking.measure.memory import (
    MemoryProbe,
    PeakMemory,
    measure_peak_memory,
)
from stargan_deploy.benchmarking.measure.timed_calls import Workload
from stargan_deploy.benchmarking.report.format import PATHS
from stargan_deploy.benchmarking.results import PictureError, Roof, Row, Timing
from stargan_deploy.benchmarking.roofline.counting import count_call
from stargan_deploy.benchmarking.roofline.roofline import roofline_share
from stargan_deploy.benchmarking.suite.candidates import Contestant
from stargan_deploy.card.card import ModelCard, Precision


def make_rows(
    contestants: Sequence[Contestant], workload: Workload, timings: Mapping[str, Sequence[Timing]]
) -> list[Row]:
    """A row for each contestant that was timed.

    Args:
        contestants: of one entry point, eager FP32 first, which the others are compared with.
        workload: what all were measured on.
        timings: of each path, by the contestant's name.
    """
    expected = workload.translate(contestants[0])
    rows: list[Row] = []
    for contestant in contestants:
        if not timings[contestant.name]:
            continue
        difference = compare_images(expected, workload.translate(contestant))
        row = _make_row(contestant, workload, timings[contestant.name], difference)
        speedup = _speedup_over(row, rows[0] if rows else row)
        rows.append(dataclasses.replace(row, speedup=speedup))
    return rows


def _make_row(
    contestant: Contestant, workload: Workload, timings: Sequence[Timing], difference: Difference
) -> Row:
    """A row without its speed-up."""
    figures = difference.figures
    limits = limits_for(figures, TOLERANCES[contestant.precision])
    return Row(
        backend=contestant.entry.backend,
        device=str(contestant.runtime.device),
        precision=contestant.runtime.card.precision.get("conv", "float32"),
        asked_precision=contestant.entry.precision,
        entry_point=contestant.entry_point,
        verified=all(is_within(name, figures[name], limit) for name, limit in limits.items()),
        batch_size=workload.batch_size,
        height=workload.size,
        width=workload.size,
        timings=tuple(timings),
        picture_error=PictureError(
            max_difference=figures["max_difference"],
            mean_difference=figures["mean_difference"],
            psnr_db=figures["psnr_db"],
        ),
        start_up=contestant.start_up,
        artefact_bytes=contestant.artefact_bytes,
    )


def _speedup_over(row: Row, eager: Row) -> float | None:
    """How many times as fast as eager, by the medians host to host or of what was measured."""
    for path in ("host to host", *PATHS):
        own, reference = row.timing(path), eager.timing(path)
        if own is not None and reference is not None:
            return reference.statistics.p50_ms / own.statistics.p50_ms
    return None


def changed_rows(
    rows: list[Row], contestant: Contestant, batch_size: int, size: int, **changes: Any
) -> list[Row]:
    """Rows in which that of a contestant at a batch and size has other values."""
    entry = contestant.entry
    wanted = (entry.backend, entry.precision, contestant.entry_point, batch_size, size)

    def place(row: Row) -> tuple[str, str, str, int, int]:
        return row.backend, row.asked_precision, row.entry_point, row.batch_size, row.height

    return [dataclasses.replace(row, **changes) if place(row) == wanted else row for row in rows]


def peak_memory(contestant: Contestant, batch_size: int, size: int) -> PeakMemory:
    """What a process needs that does nothing but run a contestant."""
    is_checkpoint = contestant.path.suffix.lower() == CHECKPOINT_SUFFIX
    return measure_peak_memory(
        MemoryProbe(
            path=str(contestant.path),
            backend=contestant.entry.backend,
            device=str(contestant.runtime.device),
            batch_size=batch_size,
            height=size,
            width=size,
            entry_point=contestant.entry_point,
            precision=contestant.entry.precision if is_checkpoint else None,
        )
    )


def with_roof(row: Row, card: ModelCard, roofs: Mapping[Precision, Roof]) -> Row:
    """A row with its share of the roof of its precision, where that was measured."""
    precision = precision_of({"conv": row.precision})
    timing = row.timing("device only") or row.timing("host to host")
    if precision not in roofs or timing is None:
        return row
    counts = count_call(
        card,
        batch_size=row.batch_size,
        height=row.height,
        width=row.width,
        precision=precision,
        entry_point=row.entry_point,
    )
    share = roofline_share(roofs[precision], counts, timing.statistics.p50_ms)
    return dataclasses.replace(row, roofline=share)
