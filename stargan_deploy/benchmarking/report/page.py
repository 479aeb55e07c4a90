"""A benchmark in one page: what is fastest, charts, every table, and how to read them.

The page is made from the results alone and needs no network and no script.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.benchmarking.report import charts, columns, plots
from stargan_deploy.benchmarking.report import environment as surroundings
from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.columns import Table
from stargan_deploy.benchmarking.report.explanations import HOW_TO_READ, METHOD, cautions
from stargan_deploy.benchmarking.report.format import Group
from stargan_deploy.benchmarking.report.headlines import headlines
from stargan_deploy.benchmarking.report.palette import SHAPE_WORDS
from stargan_deploy.benchmarking.results import Results, Row
from stargan_deploy.presentation.page import charts_section, escaped, tile, write_page

REPORT_NAME = "report.html"

MERGED = ("device", "size", "bound ms", "remark")
"""Columns that go into the title where they say the same in all lines: phones are narrow."""


@dataclass(frozen=True, kw_only=True)
class _Topic:
    """Figures that belong together."""

    heading: str
    note: str
    figures: list[str]


def write_report(results: Results, path: Path) -> None:
    """Writes `report.html`.

    Raises:
        OutputError: the file cannot be written.
    """
    sections = [_cautions(results), *_charts(results.rows), _training(results)]
    sections.append(_table(columns.batch_table(results).merged("batch", *MERGED)))
    sections += [_table(table.merged(*MERGED)) for table in _tables(results)]
    sections.append(_reading())
    tiles = (tile(line.title, line.value, line.note) for line in headlines(results.rows))
    write_page(
        path,
        "stargan_deploy.benchmarking.report",
        "report.html",
        title=escaped(f"Benchmark of {wording.model_name(results)}"),
        facts="".join(f"<li>{escaped(fact)}</li>" for fact in _facts(results)),
        tiles="\n".join(tiles),
        sections="\n".join(section for section in sections if section),
    )


def _facts(results: Results) -> list[str]:
    """The line under the title: machine, versions, time."""
    machine = results.machine
    revision = machine.git_revision or ""
    changed = "+" if revision.endswith("+") else ""
    return [
        wording.device_names(results),
        f"{machine.num_threads} threads",
        *wording.versions(machine),
        *([f"git {revision[:10]}{changed}"] if revision else []),
        wording.moment(results.created),
    ]


def _cautions(results: Results) -> str:
    sentences = "".join(f"<li>{escaped(sentence)}</li>" for sentence in cautions(results))
    if not sentences:
        return ""
    return f'<section class="cautions">\n<h2>Mind this</h2>\n<ul>{sentences}</ul>\n</section>'


def _charts(rows: Sequence[Row]) -> list[str]:
    """The sections of charts; two of one figure each share a line."""
    topics = [topic for topic in _topics(rows) if topic.figures]
    sections, place = [], 0
    while place < len(topics):
        pair = topics[place : place + 2]
        is_pair = [len(topic.figures) for topic in pair] == [1, 1]
        for topic in pair if is_pair else pair[:1]:
            style = "half" if is_pair else ""
            sections.append(
                charts_section(topic.heading, topic.figures, note=topic.note, style=style)
            )
        place += 2 if is_pair else 1
    return sections


def _topics(rows: Sequence[Row]) -> list[_Topic]:
    calls, sizes = wording.groups(rows), wording.groups(rows, by_batch=False)
    places = {(g.entry_point, g.device, g.height, g.width): g for g in reversed(calls)}
    first = list(places.values())[::-1]
    many = len({row.batch_size for row in rows}) > 1
    return [
        _Topic(
            heading="Latency",
            note="Host to host: 8-bit pictures in, 8-bit pictures out. Dashed: eager FP32.",
            figures=_figures(charts.latency_figure, calls),
        ),
        _Topic(
            heading="Speed against picture error",
            note=f"Up is nearer to eager FP32's pictures, right is faster. {SHAPE_WORDS}",
            figures=_figures(plots.quality_figure, calls),
        ),
        _Topic(
            heading="Throughput over batch size" if many else "Throughput",
            note=f"Host to host, one call after the other. {SHAPE_WORDS}" if many else "",
            figures=_figures(plots.throughput_figure if many else charts.speed_figure, sizes),
        ),
        _Topic(
            heading="Start-up",
            note="Full colour: build; faint: load; half: first call.",
            figures=_figures(charts.start_up_figure, first),
        ),
        _Topic(
            heading="Share of the roofline",
            note="How much of what this machine can do, as measured in the same run.",
            figures=_figures(charts.roofline_figure, calls),
        ),
        _Topic(
            heading="Where the time goes",
            note="\N{WHITE CIRCLE}\N{NO-BREAK SPACE}device only, "
            "\N{BLACK CIRCLE}\N{NO-BREAK SPACE}host to host, "
            "\N{BLACK SQUARE}\N{NO-BREAK SPACE}end to end, from JPEG to JPEG.",
            figures=_figures(charts.paths_figure, calls),
        ),
    ]


def _figures(draw: Callable[[Group], str], groups: Sequence[Group]) -> list[str]:
    return [figure for group in groups if (figure := draw(group))]


def _training(results: Results) -> str:
    table = columns.training_table(results).merged("batch", *MERGED)
    figure = charts.training_figure(results.training)
    shown = [figure, _grid(table)] if figure else []
    return charts_section(table.title, shown, note=f"{table.note[:1].upper()}{table.note[1:]}.")


def _tables(results: Results) -> list[Table]:
    rows = results.rows
    return [
        columns.main_table(rows),
        columns.paths_table(rows),
        columns.start_up_table(rows),
        columns.quality_table(rows),
        columns.statistics_table(rows),
        surroundings.roofs_table(results),
        surroundings.unusable_table(results),
        surroundings.sensors_table(results),
        surroundings.machine_table(results),
    ]


def _table(table: Table) -> str:
    if not table.lines:
        return ""
    note = f'\n<p class="note">{escaped(table.note)}</p>' if table.note else ""
    return f"<section>\n<h2>{escaped(table.title)}</h2>{note}\n{_grid(table)}\n</section>"


def _grid(table: Table) -> str:
    """A table that scrolls sideways within the page where it is wider."""
    looks = [
        "" if place < table.num_names else ' class="figure"' for place in range(len(table.columns))
    ]
    head = "".join(
        f'<th scope="col"{look}>{escaped(name)}</th>'
        for name, look in zip(table.columns, looks, strict=True)
    )
    starts = ['<tr class="start">' if new else "<tr>" for new in table.group_starts]
    lines = "\n".join(
        f"{start}{_line(line, looks)}</tr>" for start, line in zip(starts, table.lines, strict=True)
    )
    style = ' class="words"' if table.num_names == len(table.columns) else ""
    return (
        f'<div class="scroll" tabindex="0"><table{style}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def _line(line: Sequence[str], looks: Sequence[str]) -> str:
    first, *others = line
    cells = "".join(
        f"<td{look}>{escaped(cell)}</td>" for cell, look in zip(others, looks[1:], strict=True)
    )
    return f'<th scope="row">{escaped(first)}</th>{cells}'


def _reading() -> str:
    words = "\n".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(text)}</dd>"
        for name, text in (*HOW_TO_READ, ("Method", METHOD))
    )
    return f"<section>\n<h2>How to read this</h2>\n<dl>\n{words}\n</dl>\n</section>"
