"""`stargan-deploy evaluate compare`."""

import re
from typing import Annotated

import typer
from rich.console import Console

from stargan_deploy.cli.console import show, show_json
from stargan_deploy.cli.options import After, Before, Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import UsageError
from stargan_deploy.evaluation.compare import Comparison
from stargan_deploy.evaluation.compare import compare as compare_results
from stargan_deploy.evaluation.report.tables import differences_table, main_differences
from stargan_deploy.evaluation.results import load_results

REGRESSION = 1
"""Exit code when a share became worse than allowed."""

FailOver = Annotated[
    str,
    typer.Option(
        metavar="POINTS",
        help="How much worse a share may become, for example 0.5pt (half a percentage point). A "
        "difference within the noise never fails.",
    ),
]


def compare(
    a: Before,
    b: After,
    fail_over: FailOver = "0.5pt",
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Compare two evaluations photo by photo; the exit code is 1 on a regression."""
    comparison = compare_results(load_results(a), load_results(b), parse_points(fail_over))
    if json_output:
        show_json(to_mapping(comparison))
    else:
        _show(comparison)
    if comparison.regressions:
        raise typer.Exit(REGRESSION)


def parse_points(text: str) -> float:
    """Read "0.5pt" or "0.5" as 0.005.

    Raises:
        UsageError: neither.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(?:pt|points?)?", text.strip())
    number = float(match[1]) if match else None
    if number is None or number > 100:
        raise UsageError(f"--fail-over takes percentage points like 0.5pt, not {text!r}")
    return number / 100


def _show(comparison: Comparison) -> None:

    console = Console(highlight=False)
    for remark in comparison.remarks:
        console.print(remark, style="yellow", markup=False)
    whole = main_differences(comparison.differences)
    title = f"B against A, on {comparison.num_photos:,} photos"
    differences_table(whole, title=title).merged("model", "against").without("target").print(
        console
    )
    counts = dict.fromkeys(("better", "worse", "different", "noise"), 0)
    for each in whole:
        counts[each.verdict] += 1
    words = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
    limit = f"a regression is a share worse by more than {100 * comparison.fail_over:g} points"
    show(f"{len(whole)} compared: {words} ({limit}: {len(comparison.regressions)})")
