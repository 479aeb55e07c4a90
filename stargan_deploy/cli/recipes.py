"""`stargan-deploy train --list`: the recipes that come with the package."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stargan_deploy.cli.console import show_json

if TYPE_CHECKING:
    from stargan_deploy.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A recipe in a line."""

    name: str
    data: str
    size: int
    family: str
    parameters: int
    steps: str
    time: str


def list_recipes(*, json_output: bool) -> None:
    """Print the recipes that come with the package, with data, size, network and time."""
    from stargan_deploy.training.recipe import packaged_recipes

    lines = [_line(path) for path in packaged_recipes().values()]
    if json_output:
        show_json([asdict(line) for line in lines])
        return
    from rich.console import Console

    from stargan_deploy.presentation.tables import Table

    columns = (
        ("recipe", lambda line: line.name),
        ("data", lambda line: line.data),
        ("time", lambda line: line.time),
        ("size", lambda line: f"{line.size}x{line.size}"),
        ("family", lambda line: line.family),
        ("weights", lambda line: f"{line.parameters / 1e6:.1f}M"),
        ("length", lambda line: line.steps),
    )
    note = "stargan-deploy train NAME --data FOLDER; --set section.key=value changes a setting"
    table = Table.of("", lines, columns, num_names=3, note=note)
    table.print(Console(), dispensable=("length", "family"))


def _line(path: Path) -> _Line:
    from stargan_deploy.config import merge, read_toml
    from stargan_deploy.training.recipe import resolve_recipe
    from stargan_deploy.training.session import count_parameters

    tables = read_toml(path)
    sets = tables.get("data", {}).get("sets", {})
    root = {"root": "FOLDER"}
    places = {"sets": dict.fromkeys(sets, root)} if sets else root
    recipe = resolve_recipe(merge(tables, {"data": places}))
    return _Line(
        name=path.stem,
        data=_data(recipe),
        size=recipe.data.image_size,
        family=recipe.family,
        parameters=count_parameters(recipe),
        steps=_length(recipe),
        time=tables.get("about", {}).get("time", ""),
    )


def _data(recipe: "Recipe") -> str:
    from stargan_deploy.data.config import AUTO
    from stargan_deploy.data.layout import load_layout

    kinds = [own.kind for own in recipe.data.sets.values()] or [recipe.data.kind]
    words = {kind: load_layout(kind).summary.partition(" (")[0] for kind in kinds if kind != AUTO}
    return " + ".join(words.get(kind, "any with labels") for kind in kinds)


def _length(recipe: "Recipe") -> str:
    train = recipe.train
    return f"{train.steps:,} steps" if train.epochs is None else f"{train.epochs:g} epochs"
