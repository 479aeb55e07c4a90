"""The figures of a benchmark as `results.csv`: a line for each row and path, or batch side."""

import csv
import io
import math
from pathlib import Path
from typing import Any

from stargan_deploy.benchmarking.results import BatchRow, Results, Row, Timing
from stargan_deploy.files.atomic import write_text

CSV_NAME = "results.csv"

BATCH_PATH = "batch job"
"""What stands for the path in the lines of batch sides."""

STATISTICS = ("mean_ms", "std_ms", "min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")

COLUMNS = (
    "created",
    "model",
    "model_sha256",
    "cpu",
    "gpu",
    "git_revision",
    "backend",
    "device",
    "precision",
    "asked_precision",
    "verified",
    "batch_size",
    "height",
    "width",
    "path",
    "num_calls",
    *STATISTICS,
    "images_per_s",
    "stopped_by",
    "warm_up_calls",
    "warm_up_stable",
    "speedup_host_to_host",
    "max_difference_levels",
    "mean_difference_levels",
    "psnr_db",
    "build_s",
    "load_s",
    "first_call_s",
    "artefact_bytes",
    "peak_host_bytes",
    "peak_device_bytes",
    "counted_gmacs",
    "counted_gb",
    "roofline_bound",
    "roofline_share",
    "roofline_note",
    "offline_images",
    "offline_s",
    "offline_images_per_s",
    "server_bound_ms",
    "server_images_per_s",
    "server_p99_ms",
    "server_queries",
    "server_seed",
    "side",
    "num_photos",
    "speedup_over_plain_loop",
    "share_of_prepared",
    "share_of_generator",
    "entry_point",
)
"""Stable names with their units; new ones come at the end."""

Parts = tuple[tuple[object, dict[str, str]], ...]
"""Things that may be None, with their fields by the column that each goes to."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that spreadsheets take for a formula."""


def write_csv(results: Results, path: Path) -> None:
    """Writes `results.csv`, UTF-8, with a line of column names; what was not measured is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in results.rows:
        for timing in row.timings or (None,):
            line = _of_run(results) | _of_row(row) | _of_parts(row) | _of_timing(timing)
            writer.writerow({name: _cell(value) for name, value in line.items()})
    for side in results.batch:
        line = _of_run(results) | _of_side(side)
        writer.writerow({name: _cell(value) for name, value in line.items()})
    write_text(path, stream.getvalue().encode("utf-8", "replace").decode())


def _of_run(results: Results) -> dict[str, Any]:
    return {
        "created": results.created,
        "model": results.model,
        "model_sha256": results.model_sha256,
        "cpu": results.machine.cpu,
        "gpu": results.machine.gpu,
        "git_revision": results.machine.git_revision,
    }


def _of_row(row: Row) -> dict[str, Any]:
    names = (
        *("backend", "device", "precision", "asked_precision", "entry_point", "verified"),
        *("batch_size", "height", "width"),
        *("artefact_bytes", "peak_host_bytes", "peak_device_bytes"),
    )
    return {name: getattr(row, name) for name in names} | {"speedup_host_to_host": row.speedup}


def _of_side(row: BatchRow) -> dict[str, Any]:
    names = ("backend", "device", "precision", "batch_size", "num_photos", "images_per_s")
    return {
        **{name: getattr(row, name) for name in names},
        **_filled(_shared_parts(row)),
        "side": row.name,
        "path": BATCH_PATH,
        "height": row.image_size,
        "width": row.image_size,
        "speedup_over_plain_loop": row.speedup,
        "share_of_prepared": row.prepared_share,
        "share_of_generator": row.generator_share,
    }


def _of_timing(timing: Timing | None) -> dict[str, Any]:
    if timing is None:
        return {}
    names = ("path", "images_per_s", "stopped_by", "warm_up_calls", "warm_up_stable")
    return {
        **{name: getattr(timing, name) for name in names},
        **{name: getattr(timing.statistics, name) for name in STATISTICS},
        "num_calls": timing.statistics.num,
    }


def _of_parts(row: Row) -> dict[str, Any]:
    """What a row knows besides its timings."""
    parts: Parts = (
        *_shared_parts(row),
        (
            row.roofline,
            {
                "counted_gmacs": "counted_gmacs",
                "counted_gb": "counted_gb",
                "roofline_bound": "bound",
                "roofline_share": "share",
                "roofline_note": "note",
            },
        ),
        (
            row.offline,
            {
                "offline_images": "num_images",
                "offline_s": "seconds",
                "offline_images_per_s": "images_per_s",
            },
        ),
        (
            row.server,
            {
                "server_bound_ms": "latency_bound_ms",
                "server_images_per_s": "arrivals_per_s",
                "server_p99_ms": "p99_ms",
                "server_queries": "num_queries",
                "server_seed": "seed",
            },
        ),
    )
    return _filled(parts)


def _shared_parts(row: Row | BatchRow) -> Parts:
    return (
        (
            row.picture_error,
            {
                "max_difference_levels": "max_difference",
                "mean_difference_levels": "mean_difference",
                "psnr_db": "psnr_db",
            },
        ),
        (row.start_up, {name: name for name in ("build_s", "load_s", "first_call_s")}),
    )


def _filled(parts: Parts) -> dict[str, Any]:
    """The cells of the parts that there are."""
    return {
        column: getattr(part, field)
        for part, fields in parts
        if part is not None
        for column, field in fields.items()
    }


def _cell(value: Any) -> Any:
    """A value as a cell: six digits, nothing where it is not finite, text never a formula."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        text = " ".join(value.split())
        return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else None
    return value
