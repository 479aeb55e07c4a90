"""A benchmark in one page: what is fastest, charts, every table, and how to read them.

The page is made from the results alone and needs no network and no script.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from stargan_deploy.benchmarking.measure.timing import AGREEMENT
from stargan_deploy.benchmarking.report import charts, columns, environment
from stargan_deploy.benchmarking.report.explanations import cautions
from stargan_deploy.benchmarking.report.format import (
    Group,
    device_names,
    groups,
    model_name,
    moment,
    versions,
)
from stargan_deploy.benchmarking.report.headlines import headlines
from stargan_deploy.benchmarking.report.palette import colours
from stargan_deploy.benchmarking.results import Results, Row
from stargan_deploy.presentation.bars import BarChart
from stargan_deploy.presentation.page import write_page
from stargan_deploy.presentation.points import PointChart

REPORT_NAME = "report.html"

MERGED = ("device", "size", "bound ms", "remark")
"""Columns that go into the title where they say the same in all lines: phones are narrow."""


Chart = BarChart | PointChart


def write_report(results: Results, path: Path) -> None:
    """Writes `report.html`.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = results.rows
    tables = [
        columns.main_table(rows),
        columns.paths_table(rows),
        columns.start_up_table(rows),
        columns.quality_table(rows),
        columns.statistics_table(rows),
        environment.roofs_table(results),
        environment.unusable_table(results),
        environment.sensors_table(results),
        environment.machine_table(results),
    ]
    shown = [table.merged(*MERGED) for table in tables if table.lines]
    batch = columns.batch_table(results).merged("batch", *MERGED)
    write_page(
        path,
        "benchmark.html",
        title=f"Benchmark of {model_name(results)}",
        facts=_facts(results),
        tiles=headlines(rows),
        cautions=cautions(results),
        charts=_charts(rows),
        training=columns.training_table(results).merged("batch", *MERGED),
        training_chart=charts.training_chart(results.training),
        tables=[*([batch] if batch.lines else []), *shown],
        agreement=f"{AGREEMENT:.0%}",
        colours=colours(),
    )


def _facts(results: Results) -> list[str]:
    """The line under the title: machine, versions, time."""
    machine = results.machine
    revision = machine.git_revision or ""
    changed = "+" if revision.endswith("+") else ""
    return [
        device_names(results),
        f"{machine.num_threads} threads",
        *versions(machine),
        *([f"git {revision[:10]}{changed}"] if revision else []),
        moment(results.created),
    ]


def _charts(rows: Sequence[Row]) -> dict[str, list[Chart]]:
    """The charts by their topics; those without figures are left out."""
    calls, sizes = groups(rows), groups(rows, by_batch=False)
    first = {(g.entry_point, g.device, g.height, g.width): g for g in reversed(calls)}
    many = len({row.batch_size for row in rows}) > 1
    topics: dict[str, tuple[Callable[[Group], Chart], Sequence[Group]]] = {
        "latency": (charts.latency_chart, calls),
        "quality": (charts.quality_chart, calls),
        "throughput": (charts.throughput_chart, sizes if many else ()),
        "speed": (charts.speed_chart, () if many else sizes),
        "start_up": (charts.start_up_chart, list(first.values())[::-1]),
        "roofline": (charts.roofline_chart, calls),
        "paths": (charts.paths_chart, calls),
    }
    return {
        topic: [chart for chart in map(draw, chosen) if not chart.is_empty]
        for topic, (draw, chosen) in topics.items()
    }
