"""`stargan-deploy bench`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.backends.registry import runtime_names
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import OUT, Device, Json, Quiet
from stargan_deploy.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from stargan_deploy.benchmarking.results import Results
    from stargan_deploy.benchmarking.suite.config import SuiteConfig
    from stargan_deploy.inference.find import ModelFile

RESULTS = Path("bench-results")

Recipe = Annotated[
    Path | None,
    typer.Argument(
        metavar="RECIPE.toml",
        help="What to measure, for example benchmarks/cpu.toml.",
        show_default="everything usable here, in under 5 minutes on two cores",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Checkpoint, a run's folder, or an artefact; `untrained` stands for the paper's "
        "full-size networks with random weights.",
        show_default="the newest run's newest checkpoint, else the demo model",
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
Backends = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help=",".join(runtime_names()),
        show_default="all that compute on the device",
    ),
]
Precisions = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="fp32,fp16,bf16,int8",
        show_default="fp32,bf16,int8; on a GPU fp32,fp16,bf16",
    ),
]
EntryPoints = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Entry points that make images, for example a2b,b2a.",
        show_default="all",
    ),
]
BatchSizes = Annotated[
    str | None, typer.Option(metavar="LIST", help="For example 1,8,32.", show_default="1,8")
]
Sizes = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Sides of the images in pixels, for example 128,256.",
        show_default="the size of training",
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
Budget = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Total time for timing.", show_default="120"),
]


def bench(
    recipe: Recipe = None,
    model: Model = None,
    checkpoint: Checkpoint = None,
    backends: Backends = None,
    precisions: Precisions = None,
    entry_points: EntryPoints = None,
    batch_sizes: BatchSizes = None,
    sizes: Sizes = None,
    out: Out = None,
    budget: Budget = None,
    device: Device = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Measure latency, throughput and image error of every backend on this machine.

    To compare two results: stargan-deploy bench compare A.json B.json
    """
    typed = {
        "model": model,
        "device": device,
        "backends": _words(backends),
        "precisions": _words(precisions),
        "entry_points": _words(entry_points),
        "batch_sizes": _numbers("--batch-sizes", batch_sizes),
        "sizes": _numbers("--sizes", sizes),
        "budget_s": budget,
    }
    config = _read_config(recipe, {k: v for k, v in typed.items() if v is not None})
    chosen = _find(config.model)
    source = _checkpoint_of(chosen, checkpoint)
    _check_requested(config, chosen)
    folder = out or RESULTS / f"{datetime.now():%Y%m%d-%H%M%S}"
    with _result_folder(folder):
        results = _measure(config, chosen, source)
        _save(results, folder)
    if json_output:
        from stargan_deploy.config import to_mapping

        show_json(to_mapping(results))
    else:
        _show(results)
    say(f"the results are in {folder}/: report.html, report.md, results.json, results.csv")


def _read_config(recipe: Path | None, typed: dict[str, Any]) -> "SuiteConfig":
    """A recipe's settings, overridden by the options.

    Raises:
        ConfigError: a recipe that is not TOML, or settings that do not fit.
    """
    from stargan_deploy.benchmarking.suite.config import SuiteConfig
    from stargan_deploy.config import from_mapping, read_toml

    tables = read_toml(recipe) if recipe is not None else {}
    try:
        return from_mapping(SuiteConfig, {**tables, **typed})
    except ConfigError as error:
        raise ConfigError(f"{recipe}: {error}" if recipe else str(error)) from error


def _check_requested(config: "SuiteConfig", model: "ModelFile") -> None:
    """Refuse what the model does not have before anything is built.

    Raises:
        UsageError: an entry point or a size of images that it lacks.
    """
    from stargan_deploy.benchmarking.suite.candidates import choose_points, choose_sizes

    if config.inference:
        choose_sizes(model.card, choose_points(model.card, config.entry_points), config.sizes)


def _measure(config: "SuiteConfig", model: "ModelFile", checkpoint: "ModelFile") -> "Results":
    from stargan_deploy.benchmarking.suite.suite import run_suite
    from stargan_deploy.devices import choose_device

    device = choose_device(config.device or None)
    return run_suite(config, model, checkpoint=checkpoint, device=device)


def _find(model: str) -> "ModelFile":
    from stargan_deploy.benchmarking.suite.untrained import NAME, untrained_checkpoint
    from stargan_deploy.inference.find import find_model, read_model

    if model == NAME:
        say("model: the paper's full-size networks with random weights, 128x128")
        return read_model(untrained_checkpoint())
    return find_model(Path(model) if model else None)


def _checkpoint_of(model: "ModelFile", checkpoint: Path | None) -> "ModelFile":
    """The model itself, or what an artefact was made from.

    Raises:
        UsageError: a checkpoint is given for a checkpoint.
        ModelError: it was not found.
    """
    from stargan_deploy.inference.find import find_source, read_model

    if not model.is_checkpoint:
        return read_model(find_source(model.path, model.card, checkpoint))
    if checkpoint is not None:
        raise UsageError("--checkpoint goes with an artefact as --model, and this is a checkpoint")
    return model


@contextmanager
def _result_folder(folder: Path) -> Iterator[None]:
    """Make a folder before minutes of measuring; removes it again if they fail.

    Raises:
        UsageError: the folder is a file.
        OutputError: it cannot be made.
    """
    from stargan_deploy.files.atomic import make_folder, missing_folders, remove_empty

    if folder.is_file():
        raise UsageError(f"--out {folder} is a file; name a folder")
    made = missing_folders(folder)
    make_folder(folder)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise


def _save(results: "Results", folder: Path) -> None:
    from stargan_deploy.benchmarking.report.page import REPORT_NAME, write_report
    from stargan_deploy.benchmarking.report.tables import MARKDOWN_NAME, write_markdown
    from stargan_deploy.benchmarking.results import RESULTS_NAME, save_results
    from stargan_deploy.benchmarking.spreadsheet import CSV_NAME, write_csv

    save_results(results, folder / RESULTS_NAME)
    write_csv(results, folder / CSV_NAME)
    write_markdown(results, folder / MARKDOWN_NAME)
    write_report(results, folder / REPORT_NAME)


def _show(results: "Results") -> None:
    from rich.console import Console

    from stargan_deploy.benchmarking.report.tables import show_results

    show_results(results, Console())
    if not (results.rows or results.training or results.batch):
        show("nothing was measured")


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _numbers(option: str, text: str | None) -> list[int] | None:
    words = _words(text)
    if words is None:
        return None
    if not words or not all(word.isdecimal() for word in words):
        raise UsageError(f"{option} takes whole numbers with commas between, not {text!r}")
    return [int(word) for word in words]
