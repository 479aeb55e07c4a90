"""The figures of a benchmark for a terminal, and as Markdown."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from stargan_deploy.benchmarking.measure.timing import AGREEMENT
from stargan_deploy.benchmarking.report import columns, environment
from stargan_deploy.benchmarking.report.explanations import cautions
from stargan_deploy.benchmarking.report.format import (
    device_names,
    drawable,
    groups,
    model_name,
    moment,
)
from stargan_deploy.benchmarking.results import Results
from stargan_deploy.presentation.page import write_page
from stargan_deploy.presentation.text import plain_markdown, single_spaced

MARKDOWN_NAME = "report.md"

WIDE = 100
"""Columns of a terminal from which no column is given up that says the same in all lines."""

DISPENSABLE = ("p90 ms", "bound ms", "device", "roof", "size")
"""Columns that a narrow terminal can do without, in the order in which they go."""


def show_results(results: Results, console: Console) -> None:
    """Prints the results for a person: the rows, paths and scenarios, training, what is missing.

    In a narrow terminal, what is the same in all rows moves from columns into the titles, and
    what does not fit even then stays in the files.
    """

    def say(sentence: str, style: str) -> None:
        console.print(Text(single_spaced(sentence), style=style))

    main, paths = columns.main_table(results.rows), columns.paths_table(results.rows)
    main = main if console.width >= WIDE else main.merged("device", "size")
    paths = paths.merged("device", "size", "bound ms")
    say(f"{model_name(results)} on {device_names(results)}", "bold")
    training, batch = columns.training_table(results), columns.batch_table(results)
    for table in (main, paths, training, batch.merged("device", "size", "batch")):
        if table.lines:
            table.print(console, dispensable=DISPENSABLE)
            console.print()
    for item in results.unusable:
        say(f"not measured: {item.name}: {item.reason}", "dim")
    for caution in cautions(results):
        say(caution, "yellow")


def write_markdown(results: Results, path: Path) -> None:
    """Writes `report.md`: environment, headline, all tables, how to read them, the method.

    Raises:
        OutputError: the file cannot be written.
    """
    tables = (
        environment.machine_table(results),
        environment.sensors_table(results),
        columns.main_table(results.rows),
        columns.paths_table(results.rows),
        columns.training_table(results),
        columns.batch_table(results),
        columns.start_up_table(results.rows),
        columns.quality_table(results.rows),
        environment.roofs_table(results),
        columns.statistics_table(results.rows),
        environment.unusable_table(results),
    )
    write_page(
        path,
        "benchmark.md",
        model=model_name(results),
        headline=headline_table(results),
        cautions=cautions(results),
        tables=[table for table in tables if table.lines],
        agreement=f"{AGREEMENT:.0%}",
    )


def headline_table(results: Results, *, batch_size: int | None = None) -> str:
    """A compact Markdown table for a README, the fastest first at each batch, with its machine.

    Args:
        results: of a run.
        batch_size: the only one to show; None shows all.
    """
    rows = [row for row in results.rows if batch_size in (None, row.batch_size)]
    ranked = [
        row
        for group in groups(rows)
        for row, _ in sorted(drawable("image_ms", group.rows), key=lambda pair: pair[1])
    ]
    table = columns.headline_table(ranked)
    same = table.shared("device", "size", *(["batch"] if batch_size else []))
    batch = f"batch {batch_size}" if batch_size else ""
    facts = [device_names(results), same.get("size", ""), batch, model_name(results)]
    words = f"Measured on {', '.join(filter(None, facts))}, {moment(results.created)[:10]}."
    if not ranked:
        is_all = not (results.batch or results.training)
        return plain_markdown(f"No backend was measured. {words}" if is_all else words)
    note = f" {table.note}." if table.note else ""
    reading = f"{words} Host to host; speed-up and PSNR against eager FP32.{note}"
    return f"{table.without(*same).markdown()}\n\n{plain_markdown(reading)}"
