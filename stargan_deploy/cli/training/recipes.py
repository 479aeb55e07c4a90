"""`stargan-deploy train --list`: the recipes that come with the package."""

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stargan_deploy.cli.console import show_json

if TYPE_CHECKING:
    from stargan_deploy.training.recipe import Recipe


def list_recipes(*, json_output: bool) -> None:
    """Print the recipes that come with the package, with data, size, network and time."""
    from stargan_deploy.training.recipe import packaged_recipes

    lines = [_line(path) for path in packaged_recipes().values()]
    if json_output:
        show_json(lines)
        return
    from rich.console import Console

    from stargan_deploy.presentation.tables import Table

    columns = (
        ("recipe", itemgetter("name")),
        ("data", itemgetter("data")),
        ("time", itemgetter("time")),
        ("size", lambda line: f"{line['size']}x{line['size']}"),
        ("family", itemgetter("family")),
        ("weights", lambda line: f"{line['parameters'] / 1e6:.1f}M"),
        ("length", itemgetter("steps")),
    )
    note = "stargan-deploy train NAME --data FOLDER; --set section.key=value changes a setting"
    table = Table.of("", lines, columns, num_names=3, note=note)
    table.print(Console(), dispensable=("length", "family"))


def _line(path: Path) -> dict[str, Any]:
    """The facts about a recipe by name."""
    from stargan_deploy.config import merge, read_toml
    from stargan_deploy.training.recipe import resolve_recipe
    from stargan_deploy.training.session import count_parameters

    tables = read_toml(path)
    sets = tables.get("data", {}).get("sets", {})
    root = {"root": "FOLDER"}
    places = {"sets": dict.fromkeys(sets, root)} if sets else root
    recipe = resolve_recipe(merge(tables, {"data": places}))
    return {
        "name": path.stem,
        "data": _data(recipe),
        "size": recipe.data.image_size,
        "family": recipe.family,
        "parameters": count_parameters(recipe),
        "steps": _length(recipe),
        "time": tables.get("about", {}).get("time", ""),
    }


def _data(recipe: "Recipe") -> str:
    from stargan_deploy.data.config import AUTO
    from stargan_deploy.data.layout import load_layout

    kinds = [own.kind for own in recipe.data.sets.values()] or [recipe.data.kind]
    words = {kind: load_layout(kind).summary.partition(" (")[0] for kind in kinds if kind != AUTO}
    return " + ".join(words.get(kind, "any with labels") for kind in kinds)


def _length(recipe: "Recipe") -> str:
    train = recipe.train
    return f"{train.steps:,} steps" if train.epochs is None else f"{train.epochs:g} epochs"
