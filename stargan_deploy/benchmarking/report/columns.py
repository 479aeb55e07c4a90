"""The tables of a benchmark's figures."""

from collections.abc import Callable, Sequence
from typing import Any

from stargan_deploy.benchmarking.report.format import (
    IMAGES_PER_S,
    PATHS,
    ROOFLINE_SHARE,
    UNPROVEN_NOTE,
    file_size,
    has_one_point,
    precision_name,
    psnr,
    row_precision,
    size,
    speedup,
    value_at,
)
from stargan_deploy.benchmarking.results import MeasuredPath, Results, Row, Timing
from stargan_deploy.presentation.numbers import digits, percent
from stargan_deploy.presentation.tables import Column, Table
from stargan_deploy.presentation.text import NOTHING

ENTRY_POINT = "entry point"
"""Heading of a column that is there where rows have several."""

FIGURES = ("mean", "std", "min", "p50", "p90", "p95", "p99", "max")
"""Statistics of a measurement, in the order in which tables and spreadsheets show them."""

GROUPS = (ENTRY_POINT, "size", "batch")
"""Columns whose rows may be compared call by call where they say the same."""


def text(path: str) -> Callable[[Any], str]:
    """A column's words: the attribute at a dotted path, or nothing where a part is missing."""
    return lambda item: NOTHING if (value := value_at(item, path)) is None else str(value)


def number(path: str) -> Callable[[Any], str]:
    """A column's words: the number at a dotted path."""
    return lambda item: digits(value_at(item, path))


def _timing(path: MeasuredPath, name: str) -> Callable[[Row], str]:
    return lambda row: digits(value_at(row.timing(path), f"statistics.{name}"))


BACKEND: Column = ("backend", text("backend"))
DEVICE: Column = ("device", text("device"))
POINT: Column = (ENTRY_POINT, text("entry_point"))
PRECISION: Column = ("precision", row_precision)
PRECISION_ONLY: Column = ("precision", lambda row: precision_name(row.precision))
PLACE: tuple[Column, ...] = (("batch", text("batch_size")), ("size", size))
NAMES: tuple[Column, ...] = (BACKEND, DEVICE, PRECISION, POINT)
RATE: Column = ("images/s", number("images_per_s"))
MAIN_RATE: Column = ("images/s", number(IMAGES_PER_S))
SPEEDUP: Column = ("speed-up", lambda row: speedup(row.speedup))
PSNR: Column = ("PSNR dB", psnr)
ACCURACY: Column = ("accuracy", lambda row: percent(value_at(row, "quality.accuracy")))
ROOF: Column = ("roof", lambda row: percent(value_at(row, ROOFLINE_SHARE)))


def main_table(rows: Sequence[Row]) -> Table:
    """The figures that most people look for, one line for each row."""
    columns = (
        *((f"{p} ms", _timing("host to host", f"{p}_ms")) for p in ("p50", "p90", "p99")),
        *(MAIN_RATE, SPEEDUP, PSNR),
        *((ACCURACY,) if any(row.quality for row in rows) else ()),
        ROOF,
    )
    title = "Latency and throughput, host to host"
    return _of_rows(title, rows, (*NAMES, *PLACE, *columns), note=_unproven(rows))


def headline_table(rows: Sequence[Row]) -> Table:
    """The few figures that a README shows."""
    columns = (
        *(BACKEND, PRECISION, POINT, DEVICE, *PLACE),
        ("ms/image", number("image_ms")),
        *(MAIN_RATE, SPEEDUP, PSNR),
    )
    return _of_rows("Headline", rows, columns, note=_unproven(rows), num_names=3)


def paths_table(rows: Sequence[Row]) -> Table:
    """The three paths and the scenarios side by side."""
    columns = (
        *((f"{path} p50 ms", _timing(path, "p50_ms")) for path in PATHS),
        ("offline images/s", number("offline.images_per_s")),
        ("server images/s", number("server.arrivals_per_s")),
        ("bound ms", number("server.latency_bound_ms")),
    )
    return _of_rows("Paths and scenarios", rows, (*NAMES, *PLACE, *columns))


def start_up_table(rows: Sequence[Row]) -> Table:
    """Time before the first picture, sizes and memory."""
    columns = (
        ("build s", number("start_up.build_s")),
        ("load s", number("start_up.load_s")),
        ("first call s", number("start_up.first_call_s")),
        ("artefact", lambda row: file_size(row.artefact_bytes)),
        ("peak host memory", lambda row: file_size(row.peak_host_bytes)),
        ("peak device memory", lambda row: file_size(row.peak_device_bytes)),
    )
    return _of_rows("Start-up, sizes and memory", rows, (*NAMES, *PLACE, *columns))


def quality_table(rows: Sequence[Row]) -> Table:
    """Picture errors and shares of the roofline, with all that they are made of."""
    columns = (
        ("greatest difference", number("picture_error.max_difference")),
        ("mean difference", number("picture_error.mean_difference")),
        PSNR,
        ("GMAC a call", number("roofline.counted_gmacs")),
        ("GB a call", number("roofline.counted_gb")),
        ("bound by", text("roofline.bound")),
        ROOF,
        ("remark", lambda row: row.roofline.note if row.roofline else ""),
    )
    return _of_rows("Picture error and roofline", rows, (*NAMES, *PLACE, *columns))


def statistics_table(rows: Sequence[Row]) -> Table:
    """Every figure of every path."""

    def of_row(words: Callable[[Row], str]) -> Callable[[tuple[Row, Timing]], str]:
        return lambda pair: words(pair[0])

    def of_timing(words: Callable[[Timing], str]) -> Callable[[tuple[Row, Timing]], str]:
        return lambda pair: words(pair[1])

    def warm_up(timing: Timing) -> str:
        return f"{timing.warm_up_calls}{'' if timing.warm_up_stable else ' (limit)'}"

    names = [(name, of_row(words)) for name, words in (*NAMES, *PLACE)]
    figures = [
        ("path", text("path")),
        *((name, number(f"statistics.{name}_ms")) for name in FIGURES),
        RATE,
        ("calls", text("statistics.num")),
        ("stopped by", text("stopped_by")),
        ("warm-up calls", warm_up),
    ]
    table = Table.of(
        "Single stream, all paths, in ms a call",
        [(row, timing) for row in rows for timing in row.timings],
        [*names, *((name, of_timing(words)) for name, words in figures)],
        num_names=len(names) + 1,
        group_columns=GROUPS,
    )
    return table.without(ENTRY_POINT) if has_one_point(rows) else table


def training_table(results: Results) -> Table:
    """Training throughput against the first setting."""
    columns = (
        *(("training", text("name")), DEVICE, PRECISION_ONLY, *PLACE),
        *(("steps/s", number("steps_per_s")), RATE, SPEEDUP),
    )
    note = "speed-up over the first line in the same run"
    return Table.of(
        "Training", results.training, columns, num_names=3, note=note, group_columns=GROUPS
    )


def batch_table(results: Results) -> Table:
    """Throughput of the batch job against the baseline."""
    columns = (
        *(("side", text("name")), BACKEND, DEVICE, PRECISION_ONLY, *PLACE, RATE, SPEEDUP),
        ("of prepared", lambda row: percent(row.prepared_share)),
        ("of generator", lambda row: percent(row.generator_share)),
        PSNR,
        ("build s", number("start_up.build_s")),
        ("load s", number("start_up.load_s")),
    )
    return Table.of(
        "Batch job, JPEG files to JPEG files",
        results.batch,
        columns,
        num_names=4,
        group_columns=GROUPS,
        note="speed-up over the baseline in the same run; of prepared: share of the throughput "
        "that the same calls of the model reach on pixels in memory; of generator: share of its "
        "calls alone, without predicting the photos' own labels",
    )


def _of_rows(
    title: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    note: str = "",
    num_names: int = len(NAMES),
) -> Table:
    table = Table.of(title, rows, columns, num_names=num_names, note=note, group_columns=GROUPS)
    return table.without(ENTRY_POINT) if has_one_point(rows) else table


def _unproven(rows: Sequence[Row]) -> str:
    return "" if all(row.verified for row in rows) else UNPROVEN_NOTE
