"""The figures of a benchmark for a terminal, and as Markdown."""

import re
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stargan_deploy.benchmarking.report import columns
from stargan_deploy.benchmarking.report import environment as surroundings
from stargan_deploy.benchmarking.report import format as wording
from stargan_deploy.benchmarking.report.columns import Table
from stargan_deploy.benchmarking.report.explanations import HOW_TO_READ, METHOD, cautions
from stargan_deploy.benchmarking.results import Results
from stargan_deploy.errors import DataError
from stargan_deploy.files.atomic import write_text
from stargan_deploy.presentation.text import visible

MARKDOWN_NAME = "report.md"

WIDE = 100
"""Columns of a terminal from which no column is given up that says the same in all lines."""

DISPENSABLE = ("p90 ms", "bound ms", "device", "roof", "size")
"""Columns that a narrow terminal can do without, in the order in which they go."""

_MARKUP = re.compile(r"[\\`*|<>\[\]~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What would format text in Markdown, or be HTML."""


def show_results(results: Results, console: Console) -> None:
    """Prints the results for a person: the rows, paths and scenarios, training, what is missing.

    In a narrow terminal, what is the same in all rows moves from columns into the titles, and
    what does not fit even then stays in the files.
    """
    main, paths = columns.main_table(results.rows), columns.paths_table(results.rows)
    main = main if console.width >= WIDE else main.merged("device", "size")
    paths = paths.merged("device", "size", "bound ms")
    _say(console, f"{wording.model_name(results)} on {wording.device_names(results)}", "bold")
    training, batch = columns.training_table(results), columns.batch_table(results)
    for table in (main, paths, training, batch.merged("device", "size", "batch")):
        if table.lines:
            console.print(_fitted(table, console))
            console.print()
    for item in results.unusable:
        _say(console, f"not measured: {item.name}: {item.reason}", "dim")
    for caution in cautions(results):
        _say(console, caution, "yellow")


def write_markdown(results: Results, path: Path) -> None:
    """Writes `report.md`: surroundings, headline, all tables, how to read them, the method.

    Raises:
        OutputError: the file cannot be written.
    """
    tables = (
        columns.main_table(results.rows),
        columns.paths_table(results.rows),
        columns.training_table(results),
        columns.batch_table(results),
        columns.start_up_table(results.rows),
        columns.quality_table(results.rows),
        surroundings.roofs_table(results),
        columns.statistics_table(results.rows),
        surroundings.unusable_table(results),
    )
    machine = (surroundings.machine_table(results), surroundings.sensors_table(results))
    parts = [f"# Benchmark of {_plain(wording.model_name(results))}", headline_table(results)]
    parts += [f"> {_plain(caution)}" for caution in cautions(results)]
    parts += [_section(table) for table in (*machine, *tables) if table.lines]
    parts.append("## How to read this")
    parts += [f"**{name}.** {text}" for name, text in HOW_TO_READ]
    parts += ["## Method", METHOD]
    page = "\n\n".join(parts) + "\n"
    write_text(path, page.encode("utf-8", "replace").decode())


def headline_table(results: Results, *, batch_size: int | None = None) -> str:
    """A compact Markdown table for a README, the fastest first at each batch, with its machine.

    Args:
        results: of a run.
        batch_size: the only one to show; None shows all.
    """
    rows = [row for row in results.rows if batch_size in (None, row.batch_size)]
    ranked = [
        row
        for group in wording.groups(rows)
        for row, _ in sorted(wording.drawable(wording.image_ms, group.rows), key=lambda r: r[1])
    ]
    table = columns.headline_table(ranked)
    same = table.shared("device", "size", *(["batch"] if batch_size else []))
    batch = f"batch {batch_size}" if batch_size else ""
    model = wording.model_name(results)
    facts = [wording.device_names(results), same.get("size", ""), batch, model]
    words = f"Measured on {', '.join(filter(None, facts))}, {wording.moment(results.created)[:10]}."
    if not ranked:
        is_all = not (results.batch or results.training)
        return _plain(f"No backend was measured. {words}" if is_all else words)
    note = f" {table.note}." if table.note else ""
    reading = f"{words} Host to host; speed-up and PSNR against eager FP32.{note}"
    return f"{_markdown(table.without(*same))}\n\n{_plain(reading)}"


def replace_between_markers(text: str, name: str, table: str) -> str:
    """A text in which what stands between `<!-- NAME -->` and `<!-- /NAME -->` is replaced.

    Args:
        text: Markdown with both markers, each once and on a line of its own.
        name: of the markers.
        table: what to put there.

    Raises:
        DataError: a marker is missing, comes twice, or they are in the wrong order.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise DataError(
            f"the text needs one line {first} and after it one line {last}; between them stands "
            "what is generated"
        )
    before, _, rest = text.partition(first)
    return f"{before}{first}\n\n{table.strip()}\n\n{last}{rest.partition(last)[2]}"


def _section(table: Table) -> str:
    note = f"\n\n{_plain(table.note)}" if table.note else ""
    return f"## {_plain(table.title)}\n\n{_markdown(table)}{note}"


def _markdown(table: Table) -> str:
    """A table, names to the left and figures to the right."""
    rules = ["---" if place < table.num_names else "---:" for place in range(len(table.columns))]
    lines = [map(_plain, table.columns), rules, *(map(_plain, line) for line in table.lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(visible(text).split()))


def _fitted(table: Table, console: Console) -> RichTable:
    """The table for a terminal, without columns that it has no room for."""
    grid = _rich(table)
    for name in DISPENSABLE:
        if console.measure(grid).maximum <= console.width:
            break
        table = table.without(name)
        grid = _rich(table)
    return grid


def _rich(table: Table) -> RichTable:
    """A table for a terminal; headings break at their spaces, so that columns are narrow."""
    grid = RichTable(
        title=_text(table.title),
        caption=_text(table.note) if table.note else None,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for place, name in enumerate(table.columns):
        if place < table.num_names:
            grid.add_column(_text(name), overflow="fold")
        else:
            grid.add_column(_text(name.replace(" ", "\n")), justify="right", no_wrap=True)
    for is_start, line in zip(table.group_starts, table.lines, strict=True):
        if is_start:
            grid.add_section()
        grid.add_row(*map(_text, line))
    return grid


def _say(console: Console, sentence: str, style: str) -> None:
    console.print(Text(" ".join(visible(sentence).split()), style=style))


def _text(words: str) -> Text:
    """Text as it is: markup and control characters in names mean nothing."""
    return Text(visible(words))
