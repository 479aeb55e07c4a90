"""A benchmark in one page: what is fastest, charts, every table, and how to read them.

The page is made from the results alone and needs no network and no script.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.benchmarking.report import charts, columns, environment
from stargan_deploy.benchmarking.report.explanations import HOW_TO_READ, METHOD, cautions
from stargan_deploy.benchmarking.report.format import (
    Group,
    device_names,
    groups,
    model_name,
    moment,
    versions,
)
from stargan_deploy.benchmarking.report.headlines import headlines
from stargan_deploy.benchmarking.report.palette import SHAPE_WORDS, colours
from stargan_deploy.benchmarking.results import Results, Row
from stargan_deploy.presentation.bars import BarChart
from stargan_deploy.presentation.page import write_page
from stargan_deploy.presentation.points import PointChart

REPORT_NAME = "report.html"

MERGED = ("device", "size", "bound ms", "remark")
"""Columns that go into the title where they say the same in all lines: phones are narrow."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Charts that belong together."""

    heading: str
    note: str
    charts: Sequence[BarChart | PointChart]


def write_report(results: Results, path: Path) -> None:
    """Writes `report.html`.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = results.rows
    tables = [
        columns.batch_table(results).merged("batch", *MERGED),
        *(
            table.merged(*MERGED)
            for table in (
                columns.main_table(rows),
                columns.paths_table(rows),
                columns.start_up_table(rows),
                columns.quality_table(rows),
                columns.statistics_table(rows),
                environment.roofs_table(results),
                environment.unusable_table(results),
                environment.sensors_table(results),
                environment.machine_table(results),
            )
        ),
    ]
    write_page(
        path,
        "benchmark.html",
        title=f"Benchmark of {model_name(results)}",
        facts=_facts(results),
        tiles=headlines(rows),
        cautions=cautions(results),
        topics=_paired([topic for topic in _topics(rows) if topic.charts]),
        training=columns.training_table(results).merged("batch", *MERGED),
        training_chart=charts.training_chart(results.training),
        tables=[table for table in tables if table.lines],
        how_to_read=(*HOW_TO_READ, ("Method", METHOD)),
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


def _paired(topics: Sequence[Topic]) -> Iterator[tuple[Topic, bool]]:
    """The topics, with whether each shares a line: two that follow and have one chart each."""
    place = 0
    while place < len(topics):
        pair = topics[place : place + 2]
        is_pair = [len(topic.charts) for topic in pair] == [1, 1]
        yield from ((topic, is_pair) for topic in (pair if is_pair else pair[:1]))
        place += 2 if is_pair else 1


def _topics(rows: Sequence[Row]) -> list[Topic]:
    calls, sizes = groups(rows), groups(rows, by_batch=False)
    places = {(g.entry_point, g.device, g.height, g.width): g for g in reversed(calls)}
    first = list(places.values())[::-1]
    many = len({row.batch_size for row in rows}) > 1
    return [
        Topic(
            heading="Latency",
            note="Host to host: 8-bit pictures in, 8-bit pictures out. Dashed: eager FP32.",
            charts=_charts(charts.latency_chart, calls),
        ),
        Topic(
            heading="Speed against picture error",
            note=f"Up is nearer to eager FP32's pictures, right is faster. {SHAPE_WORDS}",
            charts=_charts(charts.quality_chart, calls),
        ),
        Topic(
            heading="Throughput over batch size" if many else "Throughput",
            note=f"Host to host, one call after the other. {SHAPE_WORDS}" if many else "",
            charts=_charts(charts.throughput_chart if many else charts.speed_chart, sizes),
        ),
        Topic(
            heading="Start-up",
            note="Full colour: build; faint: load; half: first call.",
            charts=_charts(charts.start_up_chart, first),
        ),
        Topic(
            heading="Share of the roofline",
            note="How much of what this machine can do, as measured in the same run.",
            charts=_charts(charts.roofline_chart, calls),
        ),
        Topic(
            heading="Where the time goes",
            note="\N{WHITE CIRCLE}\N{NO-BREAK SPACE}device only, "
            "\N{BLACK CIRCLE}\N{NO-BREAK SPACE}host to host, "
            "\N{BLACK SQUARE}\N{NO-BREAK SPACE}end to end, from JPEG to JPEG.",
            charts=_charts(charts.paths_chart, calls),
        ),
    ]


def _charts(
    draw: Callable[[Group], BarChart | PointChart], groups: Sequence[Group]
) -> list[BarChart | PointChart]:
    return [chart for chart in map(draw, groups) if not chart.is_empty]
