"""What the tables of a benchmark say, for a terminal, Markdown and HTML alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.format import (
    digits,
    file_size,
    percent,
    precision_name,
    psnr,
    row_precision,
    speedup,
)
from stargan_deploy.benchmarking.results import Results, Row, Timing
from stargan_deploy.presentation.page import NOTHING

ENTRY_POINT = "entry point"
"""Heading of a column that is there where rows have several."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells in words."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    num_names: int = 1
    """Columns at the start that hold names; the others hold figures, set right."""
    note: str = ""

    @property
    def group_starts(self) -> list[bool]:
        """Of each line, whether it may not be compared with the line before call by call."""
        of_groups = (ENTRY_POINT, "size", "batch")
        places = [place for place, name in enumerate(self.columns) if name in of_groups]
        groups = [[line[place] for place in places] for line in self.lines]
        return [place > 0 and groups[place - 1] != group for place, group in enumerate(groups)]

    def without(self, *columns: str) -> "Table":
        """The table with fewer columns."""
        kept = [place for place, name in enumerate(self.columns) if name not in columns]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            lines=tuple(tuple(line[place] for place in kept) for line in self.lines),
            num_names=sum(place < self.num_names for place in kept),
        )

    def shared(self, *columns: str) -> dict[str, str]:
        """Those of the columns that say the same in all lines, with what they say."""
        found = {}
        for place, name in enumerate(self.columns):
            values = {line[place] for line in self.lines}
            if name in columns and len(values) == 1 and values != {NOTHING}:
                found[name] = values.pop()
        return found

    def merged(self, *columns: str) -> "Table":
        """The table with its shared columns in the title instead, and without empty ones."""
        same = self.shared(*columns)
        cells = zip(self.columns, zip(*self.lines, strict=True), strict=False)
        empty = [name for name, column in cells if set(column) <= {NOTHING, ""}]
        words = ", ".join(f"{name} {value}" for name, value in same.items() if value)
        title = f"{self.title}; {words}" if words else self.title
        return replace(self.without(*same, *empty), title=title)


Column = tuple[str, Callable[[Row], str]]
"""Heading, and what it says of a row."""

NAMES: tuple[Column, ...] = (
    ("backend", lambda row: row.backend),
    ("device", lambda row: row.device),
    ("precision", row_precision),
    (ENTRY_POINT, lambda row: row.entry_point),
)
PLACE: tuple[Column, ...] = (
    ("batch", lambda row: str(row.batch_size)),
    ("size", wording.size),
)


def main_table(rows: Sequence[Row]) -> Table:
    """The figures that most people look for, one line for each row."""
    columns: tuple[Column, ...] = (
        *NAMES,
        *PLACE,
        ("p50 ms", lambda row: _percentile(row, "p50_ms")),
        ("p90 ms", lambda row: _percentile(row, "p90_ms")),
        ("p99 ms", lambda row: _percentile(row, "p99_ms")),
        ("images/s", lambda row: digits(wording.images_per_s(row))),
        ("speed-up", lambda row: speedup(row.speedup)),
        ("PSNR dB", psnr),
        ("roof", lambda row: percent(wording.roofline_share(row))),
    )
    title = "Latency and throughput, host to host"
    return _of_rows(title, rows, columns, note=_unproven(rows))


def headline_table(rows: Sequence[Row]) -> Table:
    """The few figures that a README shows."""
    columns: tuple[Column, ...] = (
        ("backend", lambda row: row.backend),
        ("precision", row_precision),
        (ENTRY_POINT, lambda row: row.entry_point),
        ("device", lambda row: row.device),
        *PLACE,
        ("ms/image", lambda row: digits(wording.image_ms(row))),
        ("images/s", lambda row: digits(wording.images_per_s(row))),
        ("speed-up", lambda row: speedup(row.speedup)),
        ("PSNR dB", psnr),
    )
    return _of_rows("Headline", rows, columns, note=_unproven(rows), num_names=3)


def paths_table(rows: Sequence[Row]) -> Table:
    """The three paths and the scenarios side by side."""
    columns: tuple[Column, ...] = (
        *NAMES,
        *PLACE,
        ("device only p50 ms", lambda row: _median(row.timing("device only"))),
        ("host to host p50 ms", lambda row: _median(row.timing("host to host"))),
        ("end to end p50 ms", lambda row: _median(row.timing("end to end"))),
        ("offline images/s", lambda row: digits(row.offline.images_per_s if row.offline else None)),
        ("server images/s", lambda row: digits(row.server.arrivals_per_s if row.server else None)),
        ("bound ms", lambda row: digits(row.server.latency_bound_ms if row.server else None)),
    )
    return _of_rows("Paths and scenarios", rows, columns)


def start_up_table(rows: Sequence[Row]) -> Table:
    """What comes before the first picture, and what it needs."""
    columns: tuple[Column, ...] = (
        *NAMES,
        *PLACE,
        ("build s", lambda row: digits(row.start_up.build_s if row.start_up else None)),
        ("load s", lambda row: digits(row.start_up.load_s if row.start_up else None)),
        ("first call s", lambda row: digits(row.start_up.first_call_s if row.start_up else None)),
        ("artefact", lambda row: file_size(row.artefact_bytes)),
        ("peak host memory", lambda row: file_size(row.peak_host_bytes)),
        ("peak device memory", lambda row: file_size(row.peak_device_bytes)),
    )
    return _of_rows("Start-up, sizes and memory", rows, columns)


def quality_table(rows: Sequence[Row]) -> Table:
    """Picture errors and shares of the roofline, with all that they are made of."""
    columns: tuple[Column, ...] = (
        *NAMES,
        *PLACE,
        ("greatest difference", lambda row: _error(row, "max_difference")),
        ("mean difference", lambda row: _error(row, "mean_difference")),
        ("PSNR dB", psnr),
        ("GMAC a call", lambda row: _roof(row, "counted_gmacs")),
        ("GB a call", lambda row: _roof(row, "counted_gb")),
        ("bound by", lambda row: row.roofline.bound if row.roofline else NOTHING),
        ("roof", lambda row: percent(wording.roofline_share(row))),
        ("remark", lambda row: row.roofline.note if row.roofline else ""),
    )
    return _of_rows("Picture error and roofline", rows, columns)


def statistics_table(rows: Sequence[Row]) -> Table:
    """Every figure of every path."""
    names = (*(name for name, _ in (*NAMES, *PLACE)), "path")
    figures = ("mean", "std", "min", "p50", "p90", "p95", "p99", "max")
    lines = [
        (
            *(value(row) for _, value in (*NAMES, *PLACE)),
            timing.path,
            *(digits(getattr(timing.statistics, f"{name}_ms")) for name in figures),
            digits(timing.images_per_s),
            str(timing.statistics.num),
            timing.stopped_by,
            f"{timing.warm_up_calls}{'' if timing.warm_up_stable else ' (limit)'}",
        )
        for row in rows
        for timing in row.timings
    ]
    table = Table(
        title="Single stream, all paths, in ms a call",
        columns=(*names, *figures, "images/s", "calls", "stopped by", "warm-up calls"),
        lines=tuple(lines),
        num_names=len(names),
    )
    return _with_needed_names(table, rows)


def training_table(results: Results) -> Table:
    """Training throughput against the first setting."""
    lines = [
        (
            row.name,
            row.device,
            precision_name(row.precision),
            str(row.batch_size),
            f"{row.image_size}x{row.image_size}",
            digits(row.steps_per_s),
            digits(row.images_per_s),
            speedup(row.speedup),
        )
        for row in results.training
    ]
    columns = ("training", "device", "precision", "batch", "size")
    return Table(
        title="Training",
        columns=(*columns, "steps/s", "images/s", "speed-up"),
        lines=tuple(lines),
        num_names=3,
        note="speed-up over the first line in the same run",
    )


def batch_table(results: Results) -> Table:
    """Throughput of the batch job against the plain loop."""
    lines = [
        (
            row.name,
            row.backend,
            row.device,
            precision_name(row.precision),
            str(row.batch_size),
            f"{row.image_size}x{row.image_size}",
            digits(row.images_per_s),
            speedup(row.speedup),
            percent(row.prepared_share),
            percent(row.generator_share),
            psnr(row),
            digits(row.start_up.build_s if row.start_up else None),
            digits(row.start_up.load_s if row.start_up else None),
        )
        for row in results.batch
    ]
    names = ("side", "backend", "device", "precision", "batch", "size", "images/s", "speed-up")
    shares = ("of prepared", "of generator", "PSNR dB", "build s", "load s")
    return Table(
        title="Batch job, JPEG files to JPEG files",
        columns=(*names, *shares),
        lines=tuple(lines),
        num_names=4,
        note="speed-up over a plain loop in the same run; of prepared: share of what the same "
        "calls of the engine reach on pixels in memory; of generator: of its calls alone, without "
        "predicting the photos' own labels",
    )


def _of_rows(
    title: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    note: str = "",
    num_names: int = len(NAMES),
) -> Table:
    table = Table(
        title=title,
        columns=tuple(name for name, _ in columns),
        lines=tuple(tuple(value(row) for _, value in columns) for row in rows),
        num_names=num_names,
        note=note,
    )
    return _with_needed_names(table, rows)


def _with_needed_names(table: Table, rows: Sequence[Row]) -> Table:
    return table.without(ENTRY_POINT) if wording.has_one_point(rows) else table


def _unproven(rows: Sequence[Row]) -> str:
    return "" if all(row.verified for row in rows) else wording.UNPROVEN_NOTE


def _percentile(row: Row, name: str) -> str:
    timing = wording.main_timing(row)
    return digits(getattr(timing.statistics, name)) if timing else NOTHING


def _median(timing: Timing | None) -> str:
    return digits(timing.statistics.p50_ms) if timing else NOTHING


def _error(row: Row, name: str) -> str:
    return digits(getattr(row.picture_error, name)) if row.picture_error else NOTHING


def _roof(row: Row, name: str) -> str:
    return digits(getattr(row.roofline, name)) if row.roofline else NOTHING
