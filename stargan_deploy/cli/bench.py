"""`stargan-deploy bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import Json, Quiet
from stargan_deploy.cli.progress import progress
from stargan_deploy.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from stargan_deploy.benchmarking.training_speed import TrainingSpeed

KINDS = ("training",)


def bench(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe, such as benchmarks/training.toml.")],
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Measures the speed of training against a plain loop, as a recipe says."""
    from stargan_deploy.config import read_toml, to_mapping

    tables = read_toml(recipe)
    kind = tables.get("kind", "")
    if kind not in KINDS:
        raise ConfigError(unknown_name("kind of benchmark", str(kind), KINDS))
    result = _measure(tables)
    if json_output:
        show_json(to_mapping(result))
    else:
        _show(result)


def _measure(tables: dict[str, Any]) -> "TrainingSpeed":
    from stargan_deploy.benchmarking.training_speed import measure_training, read_config

    say("preparing and warming up all sides ...")
    with progress("rounds") as on_round:
        return measure_training(read_config(tables), on_round=on_round)


def _show(result: "TrainingSpeed") -> None:
    show(f"{result.device}, {result.num_threads} threads, batch {result.batch_size}")
    show(f"{'':<16}{'steps/s':>10}{'images/s':>10}{'speed-up':>10}")
    for side in result.sides:
        show(
            f"{side.name:<16}{side.steps_per_s:>10.2f}{side.images_per_s:>10.1f}"
            f"{side.speedup:>9.2f}x"
        )
