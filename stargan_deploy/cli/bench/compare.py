"""`stargan-deploy bench compare`."""

import re
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stargan_deploy.benchmarking.compare import Comparison, RowComparison
from stargan_deploy.benchmarking.compare import compare as compare_runs
from stargan_deploy.benchmarking.results import load_results
from stargan_deploy.cli.console import show_json
from stargan_deploy.cli.options import After, Before, Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import DataError, UsageError
from stargan_deploy.presentation.text import visible

REGRESSION = 1
"""Exit code when a row became slower than allowed."""

STYLES = {"regression": "bold red", "slower": "yellow", "faster": "green"}

FailOver = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="How much slower a row may become, for example 5% or 0.05. A difference within the "
        "noise, which is at least 5%, never fails.",
    ),
]


def compare(
    a: Before,
    b: After,
    fail_over: FailOver = "5%",
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Compare two benchmark runs, with intervals; the exit code is 1 on a regression."""
    share = parse_share(fail_over)
    comparison = compare_runs(load_results(a), load_results(b), share)
    if json_output:
        show_json(to_mapping(comparison))
    else:
        _show(comparison)
    if not comparison.rows:
        raise DataError(f"{a} and {b} have no row in common; there is nothing to compare")
    if comparison.regressions:
        raise typer.Exit(REGRESSION)


def parse_share(text: str) -> float:
    """Read "5%" or "0.05" as 0.05.

    Raises:
        UsageError: neither a percentage nor a number from 0 to below 1.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(%?)", text.strip(), re.ASCII)
    number = float(match[1]) if match else None
    is_percent = bool(match and match[2])
    if number is None or (number >= 1 and not is_percent):
        raise UsageError(f"--fail-over takes a share like 5% or 0.05, not {text!r}")
    return number / 100 if is_percent else number


def _show(comparison: Comparison) -> None:

    console = Console(highlight=False)
    for number, remark in enumerate(comparison.remarks):
        loud = number == 0 and not comparison.comparable
        console.print(Text(visible(remark), style="bold red" if loud else "yellow"))
    if comparison.rows:
        console.print(_table(comparison))
    for name, missing in (("A", comparison.only_in_a), ("B", comparison.only_in_b)):
        for row in missing:
            console.print(Text(visible(f"only in {name}: {row}"), style="dim"))
    console.print(_summary(comparison))


def _table(comparison: Comparison) -> Table:

    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    grid.add_column("row", overflow="fold")
    for name in ("A ms", "B ms", "change", "95% interval"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("verdict", overflow="fold")
    path = ""
    for row in sorted(comparison.rows, key=lambda row: row.path):  # stable: as the run has them
        if row.path != path:
            path = row.path
            grid.add_section()
            grid.add_row(Text(visible(path), style="bold"))
        words = Text(_verdict(row), style=STYLES.get(row.verdict, ""))
        figures = (_ms(row.a_ms), _ms(row.b_ms), _change(row.ratio), _interval(row))
        grid.add_row(Text(visible(row.name)), *figures, words)
    return grid


def _verdict(row: RowComparison) -> str:

    verdict = f"noise (up to {row.noise:.0%})" if row.verdict == "noise" else row.verdict
    return visible("; ".join((verdict, *row.notes)))


def _interval(row: RowComparison) -> str:
    if row.low is None or row.high is None:
        return ""
    return f"{_change(row.low)} .. {_change(row.high)}"


def _change(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def _summary(comparison: Comparison) -> str:
    counts: dict[str, int] = {}
    for row in comparison.rows:
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
    parts = [f"{number} {verdict}" for verdict, number in sorted(counts.items())]
    limit = f"a regression is more than {comparison.fail_over * 100:g}% slower with confidence"
    return f"{len(comparison.rows)} compared: {', '.join(parts) or 'none'} ({limit})"
