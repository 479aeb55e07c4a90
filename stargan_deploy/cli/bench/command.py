"""`stargan-deploy bench`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from stargan_deploy.benchmarking.quality import with_quality
from stargan_deploy.benchmarking.report.tables import MARKDOWN_NAME, show_results, write_markdown
from stargan_deploy.benchmarking.results import RESULTS_NAME, Results, save_results
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.cli.bench.compare import compare
from stargan_deploy.cli.commands import App
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.measuring import MEASURE, MeasuringGroup, results_folder
from stargan_deploy.cli.options import BACKENDS, OUT, Fields, Json, Quiet
from stargan_deploy.config import from_mapping, read_toml, to_mapping
from stargan_deploy.devices import choose_device
from stargan_deploy.errors import ConfigError, UsageError
from stargan_deploy.evaluation.results import load_results as load_evaluation
from stargan_deploy.inference.find import ModelFile, find_model, find_source, read_model

RESULTS = Path("bench-results")

TYPED = (
    *("model", "backends", "precisions", "entry_points", "batch_sizes", "sizes", "budget_s"),
    "device",
)
"""Settings that are options; a recipe has more."""

Recipe = Annotated[
    Path | None,
    typer.Argument(
        metavar="RECIPE.toml",
        help="What to measure, for example benchmarks/cpu.toml.",
        show_default="everything usable here, in under 5 minutes on two cores",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Checkpoint that the artefact was exported from.",
        show_default="found by content: next to it, here, in ./runs, in the package",
    ),
]
QualityOf = Annotated[
    Path | None,
    typer.Option(
        "--quality",
        metavar="RESULTS.json",
        help="Results of `evaluate` of this model or its exports, or their folder, whose accuracy "
        "stands next to the milliseconds.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        *OUT,
        metavar="DIR",
        help="Folder for results.json, results.csv, report.md and report.html.",
        show_default="./bench-results/<date and time>",
    ),
]


def bench(
    recipe: Recipe = None,
    *,
    typed: Annotated[dict[str, Any], Fields(changes=(SuiteConfig, TYPED), notes=BACKENDS)],
    checkpoint: Checkpoint = None,
    quality: QualityOf = None,
    out: Out = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Measure latency, throughput and image error of every backend on this machine.

    To compare two results: stargan-deploy bench compare A.json B.json
    """
    config = _read_config(recipe, typed)
    chosen = _find(config.model)
    source = _checkpoint_of(chosen, checkpoint)
    _check_requested(config, chosen)
    evaluation = load_evaluation(quality) if quality else None
    folder = out or RESULTS / f"{datetime.now():%Y%m%d-%H%M%S}"
    earlier = _earlier_results(folder)
    with results_folder(folder):
        results = _measure(config, chosen, source)
        results = with_quality(results, evaluation) if evaluation else results
        _save(results, folder)
    if json_output:
        show_json(to_mapping(results))
    else:
        _show(results)
    say(f"the results are in {folder}/: report.html, report.md, results.json, results.csv")
    if earlier is not None:
        say_next("bench", "compare", earlier, folder)


def _earlier_results(folder: Path) -> Path | None:
    """The newest of the other folders beside a folder of results that holds results."""
    files = folder.parent.glob(f"*/{RESULTS_NAME}")
    found = {path.stat().st_mtime: path.parent for path in files if path.parent != folder}
    return found[max(found)] if found else None


def _read_config(recipe: Path | None, typed: dict[str, Any]) -> SuiteConfig:
    """A recipe's settings, overridden by the options.

    Raises:
        ConfigError: a recipe that is not TOML, or settings that do not fit.
    """
    tables = read_toml(recipe) if recipe is not None else {}
    try:
        return from_mapping(SuiteConfig, {**tables, **typed})
    except ConfigError as error:
        raise ConfigError(f"{recipe}: {error}" if recipe else str(error)) from error


def _check_requested(config: SuiteConfig, model: ModelFile) -> None:
    """Refuse what the model does not have before anything is built.

    Raises:
        UsageError: an entry point or a size of images that it lacks.
    """
    from stargan_deploy.benchmarking.suite.candidates import choose_points, choose_sizes

    if config.inference:
        choose_sizes(model.card, choose_points(model.card, config.entry_points), config.sizes)


def _measure(config: SuiteConfig, model: ModelFile, checkpoint: ModelFile) -> Results:
    from stargan_deploy.benchmarking.suite.suite import run_suite

    device = choose_device(config.device or None)
    return run_suite(config, model, checkpoint=checkpoint, device=device)


def _find(model: str) -> ModelFile:
    from stargan_deploy.benchmarking.suite.untrained import NAME, untrained_checkpoint

    if model == NAME:
        say("model: the paper's full-size networks with random weights, 128x128")
        return read_model(untrained_checkpoint())
    return find_model(Path(model) if model else None)


def _checkpoint_of(model: ModelFile, checkpoint: Path | None) -> ModelFile:
    """The model itself, or what an artefact was made from.

    Raises:
        UsageError: a checkpoint is given for a checkpoint.
        ModelError: it was not found.
    """
    if not model.is_checkpoint:
        return read_model(find_source(model.path, model.card, checkpoint))
    if checkpoint is not None:
        raise UsageError("--checkpoint goes with an artefact as --model, and this is a checkpoint")
    return model


def _save(results: Results, folder: Path) -> None:
    from stargan_deploy.benchmarking.report.page import REPORT_NAME, write_report
    from stargan_deploy.benchmarking.spreadsheet import CSV_NAME, write_csv

    save_results(results, folder / RESULTS_NAME)
    write_csv(results, folder / CSV_NAME)
    write_markdown(results, folder / MARKDOWN_NAME)
    write_report(results, folder / REPORT_NAME)


def _show(results: Results) -> None:

    show_results(results, Console())
    if not (results.rows or results.training or results.batch):
        show("nothing was measured")


benchmarks = App(
    cls=MeasuringGroup, help="Measure every backend on this machine; compare two results."
)
benchmarks.command(MEASURE)(bench)
benchmarks.command("compare")(compare)
