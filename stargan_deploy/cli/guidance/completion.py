"""Completion of values in the shell: attributes, models, recipes, formats.

Options are completed by their parameter's name, whichever command has them. A function here gets
what was typed so far, and the beginning of the word; it gives whole words.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from stargan_deploy.errors import StarganDeployError

Completer = Callable[[Mapping[str, Any], str], Iterable[str]]


def complete(name: str, typed: Mapping[str, Any], beginning: str) -> list[str] | None:
    """Words for a parameter; None where the shell does better, for example with files.

    Args:
        name: of the parameter.
        typed: the values of the command's parameters so far, by name.
        beginning: of the word.
    """
    completer = COMPLETERS.get(name)
    if completer is None:
        return None
    logging.disable(logging.CRITICAL)  # a shell shows whatever is printed here
    try:
        found = completer(typed, beginning)
        words = [word for word in found if word.startswith(beginning)]
    except (StarganDeployError, OSError):
        return []
    finally:
        logging.disable(logging.NOTSET)
    return [_escaped(word) for word in dict.fromkeys(words)]


def _escaped(word: str) -> str:
    """A word as bash inserts it; other shells quote by themselves."""
    is_bash = os.environ.get("_STARGAN_DEPLOY_COMPLETE", "").endswith("_bash")
    return word.replace(" ", "\\ ") if is_bash else word


def _in_list(names: Iterable[str], beginning: str) -> list[str]:
    """Words whose part behind the last comma is one of some names, each named once."""
    before, comma, _ = beginning.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]


def _labels(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:
    """The labels of the data where some is named, else of the model."""
    from stargan_deploy.data.open import names_at_a_glance
    from stargan_deploy.inference.find import find_model

    given = typed.get("data") or typed.get("folders") or []
    roots = [Path(root) for root in (given if isinstance(given, list | tuple) else [given])]
    if roots:
        names = [name for root in roots for name in names_at_a_glance(root)]
    elif "recipe" in typed:  # a training without data draws its faces
        from stargan_deploy.data.synthetic.portrait import ATTRIBUTES

        names = list(ATTRIBUTES)
    else:
        names = list(find_model(_path(typed.get("model"))).card.labels.names)
    return _in_list(names, beginning)


def _classes(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.inference.find import find_model

    return find_model(_path(typed.get("model"))).card.labels.names


def _directions(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.inference.find import find_model
    from stargan_deploy.inference.translator import is_direct

    points = find_model(_path(typed.get("model"))).card.entry_points
    return [name for name, point in sorted(points.items()) if is_direct(point)]


def _models(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    """Model files in the folder that was begun, and without one also runs and exports."""
    from stargan_deploy.backends.registry import known_suffixes
    from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
    from stargan_deploy.export.destination import EXPORTS
    from stargan_deploy.files.runs import run_folders

    suffixes = {*known_suffixes(), CHECKPOINT_SUFFIX}
    folder, slash, _ = beginning.rpartition("/")
    folders = [Path(folder + slash or ".")] + ([] if slash else [EXPORTS])
    files = [path for f in folders if f.is_dir() for path in sorted(f.iterdir())]
    models = [path for path in files if path.suffix in suffixes and ".classifier" not in path.name]
    return map(str, [*models, *run_folders()])


def _recipes(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:
    from stargan_deploy.training.recipe import packaged_recipes

    folder, slash, _ = beginning.rpartition("/")
    own = map(str, sorted(Path(folder + slash or ".").glob("*.toml")))
    return [*own, *(packaged_recipes() if "data" in typed else ())]  # trainings take data


def _formats(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.backends.registry import format_names

    return format_names()


def _precisions(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.backends.registry import format_names, format_spec

    wanted = typed.get("format_", typed.get("format", typed.get("backend")))
    return format_spec(wanted).precisions if wanted in format_names() else _PRECISIONS


def _backends(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.backends.registry import AUTO, runtime_names

    return (AUTO, *runtime_names())


def _backend_list(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    from stargan_deploy.backends.registry import runtime_names

    return _in_list(runtime_names(), beginning)


def _precision_list(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    return _in_list(_PRECISIONS, beginning)


def _devices(typed: Mapping[str, Any], beginning: str) -> Iterable[str]:  # noqa: ARG001
    return ("cpu", "cuda", "mps")


def _path(value: Any) -> Path | None:
    return Path(value) if value else None


_PRECISIONS = ("fp32", "fp16", "bf16", "int8")

COMPLETERS: dict[str, Completer] = {
    "artefact": _models,
    "artefacts": _models,
    "attrs": _labels,
    "backend": _backends,
    "backends": _backend_list,
    "checkpoint": _models,
    "device": _devices,
    "direction": _directions,
    "file": _models,
    "files": _models,
    "format": _formats,
    "format_": _formats,
    "init_from": _models,
    "label": _classes,
    "model": _models,
    "precision": _precisions,
    "precisions": _precision_list,
    "recipe": _recipes,
}
"""By the name of a command's parameter."""
