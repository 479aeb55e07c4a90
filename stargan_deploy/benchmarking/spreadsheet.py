"""The figures of a benchmark as `results.csv`: a line for each row and path, or batch side."""

import csv
import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stargan_deploy.benchmarking.report.columns import FIGURES
from stargan_deploy.benchmarking.report.format import value_at
from stargan_deploy.benchmarking.results import Results
from stargan_deploy.files.atomic import write_text
from stargan_deploy.presentation.text import cell_text

CSV_NAME = "results.csv"

BATCH_PATH = "batch job"
"""Path in the lines of the batch job."""

COLUMNS = {
    "created": "run.created",
    "model": "run.model",
    "model_sha256": "run.model_sha256",
    "cpu": "run.machine.cpu",
    "gpu": "run.machine.gpu",
    "git_revision": "run.machine.git_revision",
    "backend": "any.backend",
    "device": "any.device",
    "precision": "any.precision",
    "asked_precision": "row.asked_precision",
    "verified": "row.verified",
    "batch_size": "any.batch_size",
    "height": "row.height side.image_size",
    "width": "row.width side.image_size",
    "path": "path",
    "num_calls": "timing.statistics.num",
    **{f"{name}_ms": f"timing.statistics.{name}_ms" for name in FIGURES},
    "images_per_s": "timing.images_per_s side.images_per_s",
    "stopped_by": "timing.stopped_by",
    "warm_up_calls": "timing.warm_up_calls",
    "warm_up_stable": "timing.warm_up_stable",
    "speedup_host_to_host": "row.speedup",
    "max_difference_levels": "any.picture_error.max_difference",
    "mean_difference_levels": "any.picture_error.mean_difference",
    "psnr_db": "any.picture_error.psnr_db",
    "build_s": "any.start_up.build_s",
    "load_s": "any.start_up.load_s",
    "first_call_s": "any.start_up.first_call_s",
    "artefact_bytes": "row.artefact_bytes",
    "peak_host_bytes": "row.peak_host_bytes",
    "peak_device_bytes": "row.peak_device_bytes",
    "counted_gmacs": "row.roofline.counted_gmacs",
    "counted_gb": "row.roofline.counted_gb",
    "roofline_bound": "row.roofline.bound",
    "roofline_share": "row.roofline.share",
    "roofline_note": "row.roofline.note",
    "offline_images": "row.offline.num_images",
    "offline_s": "row.offline.seconds",
    "offline_images_per_s": "row.offline.images_per_s",
    "server_bound_ms": "row.server.latency_bound_ms",
    "server_images_per_s": "row.server.arrivals_per_s",
    "server_p99_ms": "row.server.p99_ms",
    "server_queries": "row.server.num_queries",
    "server_seed": "row.server.seed",
    "side": "side.name",
    "num_photos": "side.num_photos",
    "speedup_over_plain_loop": "side.speedup",
    "share_of_prepared": "side.prepared_share",
    "share_of_generator": "side.generator_share",
    "entry_point": "row.entry_point",
    "accuracy": "row.quality.accuracy",
    "accuracy_low": "row.quality.low",
    "accuracy_high": "row.quality.high",
    "accuracy_seen_by": "row.quality.seen_by",
}
"""Stable names with their units, and where each value comes from: the run, a row with one of its
timings, a side of the batch job, or any of the two. New names come at the end."""


def write_csv(results: Results, path: Path) -> None:
    """Writes `results.csv`, UTF-8, with a line of column names; what was not measured is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    items: list[dict[str, Any]] = [
        {"row": row, "any": row, "timing": timing, "path": timing and timing.path}
        for row in results.rows
        for timing in row.timings or (None,)
    ]
    items += [{"side": side, "any": side, "path": BATCH_PATH} for side in results.batch]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for item in items:
        line = SimpleNamespace(run=results, **item)
        writer.writerow({name: _cell(line, paths) for name, paths in COLUMNS.items()})
    write_text(path, stream.getvalue().encode("utf-8", "replace").decode())


def _cell(line: SimpleNamespace, paths: str) -> Any:
    """A value as a cell: six digits, nothing where it is not finite, text never a formula."""
    values = (value_at(line, path) for path in paths.split())
    value = next((value for value in values if value is not None), None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return cell_text(value)
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else None
    return value
