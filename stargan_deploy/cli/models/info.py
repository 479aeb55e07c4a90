"""`stargan-deploy info`: shows the card of a checkpoint or an artefact."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from stargan_deploy.backends.onnx.foreign_graph import read_foreign_graph
from stargan_deploy.backends.registry import artefact_bytes, read_card_of
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.card.card import ModelCard
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next, say_use
from stargan_deploy.cli.options import Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import ModelError, StarganDeployError
from stargan_deploy.inference.find import find_model_path
from stargan_deploy.presentation.card_lines import card_lines, graph_lines
from stargan_deploy.presentation.numbers import digits
from stargan_deploy.presentation.text import one_line

TRITON_CONFIG = "config.pbtxt"
"""File that marks a folder as a model of Triton Inference Server."""

COLUMN = 12
"""Width of the first column, in letters."""


def info(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Checkpoint, artefact, Triton model, or a run's folder.",
            show_default="the newest run's newest checkpoint, else the demo model",
        ),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Show the model card of a file: what it is, takes and gives, and how it was proven."""
    wanted: list[Path | None] = [*files] if files else [None]
    found = [(path, *_read(path)) for path in map(_find, wanted)]
    if json_output:
        plain = [
            {
                "file": str(path),
                "card": to_mapping(card) if card else None,
                "graph": graph,
                **_size_of(card),
            }
            for path, card, graph in found
        ]
        show_json(plain[0] if len(plain) == 1 else plain)
        return
    for number, (path, card, graph) in enumerate(found):
        if number:
            show("")
        _show(path, card, graph)
    path, card, _ = found[0]
    if card is not None and len(found) == 1:
        _say_next(path, card)


def _show(path: Path, card: ModelCard | None, graph: dict[str, Any] | None) -> None:
    size = f"{path} ({artefact_bytes(path) / 1e6:.1f} MB)"
    lines = (
        card_lines(card, is_checkpoint=_is_checkpoint(path)) if card else graph_lines(graph or {})
    )
    facts = _size_of(card if _is_checkpoint(path) else None)
    arithmetic = [("size", _words_of(card, facts))] if card and facts["macs"] else []
    for what, words in [("file", size), *arithmetic, *lines]:
        show(one_line(f"{what:{COLUMN}} {words}").rstrip())
    if graph:
        say("only files with a card can be run; stargan-deploy export writes them")


def _say_next(path: Path, card: "ModelCard") -> None:
    if _is_checkpoint(path):
        say_next("export", path)
    else:
        say_use(path, card)


def _is_checkpoint(path: Path) -> bool:
    return path.suffix.lower() == CHECKPOINT_SUFFIX


def _size_of(card: ModelCard | None) -> dict[str, Any]:
    """Arithmetic and weights of a model and of its teacher; nothing where there is none."""
    facts: dict[str, Any] = dict.fromkeys(("macs", "parameters", "teacher"))
    if card is None:
        return facts
    from stargan_deploy.families.counting import model_size

    with suppress(StarganDeployError):  # a family that is not registered here
        facts |= to_mapping(model_size(card))
    return facts | ({"teacher": to_mapping(card.teacher)} if card.teacher else {})


def _words_of(card: ModelCard, size: dict[str, Any]) -> str:
    """Weights and arithmetic in words, and how many times as many the teacher has."""
    side, teacher = card.preprocessing.image_size, size["teacher"]
    own = f"{size['parameters']:,} weights, {digits(size['macs'] / 1e9)} GMAC at {side}x{side}"
    if teacher is None:
        return own
    weights, macs = (digits(teacher[name] / size[name]) for name in ("parameters", "macs"))
    return f"{own}; its teacher has {weights} times the weights and {macs} times the arithmetic"


def _find(file: Path | None) -> Path:
    """The file that carries the card; inside the folder of a Triton model, its graph."""
    if file is not None and file.name == TRITON_CONFIG:
        file = file.parent
    if file is None or not file.is_dir():
        return find_model_path(file)
    if (file / TRITON_CONFIG).is_file():
        return _newest_graph(file)
    models = sorted(path.parent for path in file.glob(f"*/{TRITON_CONFIG}"))
    return _of_repository(file, models) if models else find_model_path(file)


def _newest_graph(model: Path) -> Path:
    """The graph of the version that Triton serves, which is the highest number."""
    graphs = [path for path in model.glob("*/model.onnx") if path.parent.name.isdecimal()]
    if not graphs:
        raise ModelError(
            f"{model} is a Triton model without an ONNX graph (1/model.onnx), which every one that "
            "stargan-deploy exports has"
        )
    return max(graphs, key=lambda path: int(path.parent.name))


def _of_repository(repository: Path, models: list[Path]) -> Path:
    """The graph of a repository with one model, or with those of one export."""
    first = _newest_graph(models[0]) if len(models) == 1 or _are_one_export(models) else None
    if first is None:
        names = ", ".join(model.name for model in models)
        raise ModelError(f"{repository} holds models of several exports; name one of: {names}")
    return first


def _are_one_export(models: list[Path]) -> bool:
    """Whether models carry the same card."""
    try:
        first, *others = [_read(_newest_graph(model))[0] for model in models]
    except ModelError:
        return False
    return first is not None and all(card == first for card in others)


def _read(path: Path) -> tuple[ModelCard | None, dict[str, Any] | None]:
    """The card of a file, or the contents of a foreign ONNX graph.

    Raises:
        ModelError: neither is there.
    """
    try:
        return read_card_of(path), None
    except ModelError:
        graph = read_foreign_graph(path) if path.suffix.lower() == ".onnx" else None
        if graph is None:
            raise
        return None, graph
