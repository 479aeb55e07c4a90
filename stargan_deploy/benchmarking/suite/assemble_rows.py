"""Assembles the rows of the results from what was measured of each candidate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from stargan_deploy.backends.difference import (
    TOLERANCES,
    Difference,
    compare_outputs,
    is_within,
    limits_for,
    precision_of,
)
from stargan_deploy.benchmarking.measure.memory import (
    MemoryProbe,
    PeakMemory,
    measure_peak_memory,
)
from stargan_deploy.benchmarking.report.format import PATHS
from stargan_deploy.benchmarking.results import PictureError, Roof, Row, Timing
from stargan_deploy.benchmarking.roofline.roofline import roofline_share
from stargan_deploy.benchmarking.suite.candidates import Candidate
from stargan_deploy.benchmarking.suite.timed_calls import InputBatches
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.families.counting import count_call


def assemble_rows(
    candidates: Sequence[Candidate],
    batches: InputBatches,
    timings: Mapping[str, Sequence[Timing]],
) -> list[Row]:
    """Makes a row for each candidate that was timed.

    Args:
        candidates: those of one entry point, eager FP32 first, which the others are compared with.
        batches: what all were measured on.
        timings: one for each path, by the candidate's name.
    """
    expected = batches.outputs(candidates[0])
    rows: list[Row] = []
    for candidate in candidates:
        if not timings[candidate.name]:
            continue
        spec, actual = candidate.point.outputs[0], batches.outputs(candidate)
        difference = compare_outputs(spec, expected, actual, batches.card.labels)
        row = _make_row(candidate, batches, timings[candidate.name], difference)
        speedup = _speedup_over(row, rows[0] if rows else row)
        rows.append(dataclasses.replace(row, speedup=speedup))
    return rows


def _make_row(
    candidate: Candidate, batches: InputBatches, timings: Sequence[Timing], difference: Difference
) -> Row:
    """A row without its speed-up."""
    figures = difference.figures
    limits = limits_for(figures, TOLERANCES[candidate.precision])
    return Row(
        backend=candidate.entry.backend,
        device=str(candidate.runtime.device),
        precision=candidate.runtime.card.precision.get("conv", "float32"),
        asked_precision=candidate.entry.precision,
        entry_point=candidate.entry_point,
        verified=all(is_within(name, figures[name], limit) for name, limit in limits.items()),
        batch_size=batches.batch_size,
        height=batches.size,
        width=batches.size,
        timings=tuple(timings),
        picture_error=PictureError(**figures) if candidate.point.makes_images else None,
        start_up=candidate.start_up,
        artefact_bytes=candidate.artefact_bytes,
    )


def _speedup_over(row: Row, eager: Row) -> float | None:
    """Speed-up over eager, by the medians host to host, or of the first path that both have."""
    for path in ("host to host", *PATHS):
        own, reference = row.timing(path), eager.timing(path)
        if own is not None and reference is not None:
            return reference.statistics.p50_ms / own.statistics.p50_ms
    return None


def changed_rows(
    rows: list[Row], candidate: Candidate, batch_size: int, size: int, **changes: Any
) -> list[Row]:
    """Returns rows in which that of a candidate at a batch and size has other values."""
    entry = candidate.entry
    wanted = (entry.backend, entry.precision, candidate.entry_point, batch_size, size)

    def place(row: Row) -> tuple[str, str, str, int, int]:
        return row.backend, row.asked_precision, row.entry_point, row.batch_size, row.height

    return [dataclasses.replace(row, **changes) if place(row) == wanted else row for row in rows]


def peak_memory(candidate: Candidate, batch_size: int, size: int) -> PeakMemory:
    """Measures the memory of a process that does nothing but run a candidate."""
    model = candidate.model
    return measure_peak_memory(
        MemoryProbe(
            path=str(model.path),
            backend=model.backend,
            device=str(candidate.runtime.device),
            batch_size=batch_size,
            height=size,
            width=size,
            entry_point=candidate.entry_point,
            precision=model.precision if model.is_checkpoint else None,
        )
    )


def with_roof(row: Row, card: ModelCard, roofs: Mapping[Precision, Roof]) -> Row:
    """Returns a row with its share of the roof of its precision, if that was measured."""
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
