"""`stargan-deploy info`: shows the card of a checkpoint or an artefact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.models.foreign_graph import graph_lines, read_foreign_graph
from stargan_deploy.cli.options import Json, Quiet
from stargan_deploy.errors import ModelError
from stargan_deploy.presentation.text import one_line

if TYPE_CHECKING:
    from stargan_deploy.card.card import EntryPoint, ModelCard, Verdict
    from stargan_deploy.card.tensors import Dim, TensorSpec

TRITON_CONFIG = "config.pbtxt"
"""File that marks a folder as a model of Triton Inference Server."""

FIGURES = {
    "max_difference": "max difference in 8-bit levels",
    "mean_difference": "mean difference in 8-bit levels",
    "psnr_db": "PSNR in dB",
}
"""Words for figures of a verdict whose names need some."""

COLUMN = 12
"""Width of the first column, in letters."""

Line = tuple[str, str]
"""Subject and text of a line; the subject is empty where a line continues."""


def info(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Checkpoint, artefact, Triton model, or a run's folder.",
            show_default="the newest run's newest checkpoint, else the demo model",
        ),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Show the model card of a file: what it is, takes and gives, and how it was proven."""
    from stargan_deploy.backends.registry import artefact_bytes
    from stargan_deploy.config import to_mapping

    path = _find(file)
    card, graph = _read(path)
    if json_output:
        plain = to_mapping(card) if card else None
        show_json({"file": str(path), "card": plain, "graph": graph})
        return
    size = f"{path} ({artefact_bytes(path) / 1e6:.1f} MB)"
    lines = _card_lines(card, path) if card else graph_lines(graph or {})
    for what, words in [("file", size), *lines]:
        show(one_line(f"{what:{COLUMN}} {words}").rstrip())
    if graph:
        say("only files with a card can be run; stargan-deploy export writes them")


def _find(file: Path | None) -> Path:
    """The file that carries the card; inside the folder of a Triton model, its graph."""
    from stargan_deploy.inference.find import find_model_path

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


def _read(path: Path) -> tuple["ModelCard | None", dict[str, Any] | None]:
    """The card of a file, or the contents of a foreign ONNX graph.

    Raises:
        ModelError: neither is there.
    """
    from stargan_deploy.backends.registry import read_card_of

    try:
        return read_card_of(path), None
    except ModelError:
        graph = read_foreign_graph(path) if path.suffix.lower() == ".onnx" else None
        if graph is None:
            raise
        return None, graph


def _card_lines(card: "ModelCard", path: Path) -> list[Line]:
    is_checkpoint = path.suffix.lower() == ".safetensors"
    lines = [
        ("model", f"{card.family}: {_pairs(card.network)}"),
        ("weights", f"{card.weights}, step {card.step:,}"),
        *_label_lines(card),
        *_image_lines(card),
    ]
    for name, point in sorted(card.entry_points.items(), key=_images_first):
        lines += [("", ""), *_point_lines(name, point)]
    lines.append(("", ""))
    if card.precision:
        lines.append(("precision", f"{_pairs(card.precision)} (as measured)"))
    lines += [("note", note) for note in card.notes]
    lines += [("", "")] if card.notes else []
    return [*lines, *([] if is_checkpoint else _proof_lines(card)), *_origin_lines(card)]


def _label_lines(card: "ModelCard") -> list[Line]:
    lines = []
    for labels in card.labels.sets:
        what = "attributes" if labels.kind == "multilabel" else "domains"
        of = f" (of {labels.name})" if card.labels.is_joint else ""
        lines.append((what, f"{', '.join(labels.names)}{of}"))
        lines += [("", f"at most one of: {', '.join(g)}") for g in labels.exclusive_groups]
    return lines


def _image_lines(card: "ModelCard") -> list[Line]:
    how = card.preprocessing
    crop = f"centre crop {how.crop_size}, " if how.crop_size else ""
    least, greatest = how.pixel_range
    size = f"{how.image_size}x{how.image_size}"
    words = f"{crop}{how.resize_filter} resize to {size}, network sees {least:g} to {greatest:g}"
    return [("images", words)]


def _point_lines(name: str, point: "EntryPoint") -> list[Line]:
    specs = [*(("input", spec) for spec in point.inputs), *(("output", s) for s in point.outputs)]
    dims = {dim.symbol: dim for _, spec in specs for dim in spec.shape if not isinstance(dim, int)}
    return [
        (name, f"in {point.file}"),
        *((f"  {what}", _words_of_spec(spec)) for what, spec in specs),
        *(("", f"{symbol}: {_limits(dim)}") for symbol, dim in dims.items()),
    ]


def _images_first(entry: tuple[str, "EntryPoint"]) -> bool:
    return not any(spec.kind == "image" for spec in entry[1].outputs)


def _words_of_spec(spec: "TensorSpec") -> str:
    shape = " x ".join(str(dim) if isinstance(dim, int) else dim.symbol for dim in spec.shape)
    words = f"{spec.name}: {spec.kind}, {spec.dtype}, {shape} ({spec.layout})"
    if spec.value_range is None:
        return words
    least, greatest = spec.value_range
    return f"{words}, values {least:g} to {greatest:g}"


def _limits(dim: "Dim") -> str:
    steps = f", a multiple of {dim.multiple}" if dim.multiple > 1 else ""
    limit = "or more" if dim.max is None else f"to {dim.max}"
    return f"{dim.min} {limit}{steps}"


def _proof_lines(card: "ModelCard") -> list[Line]:
    lines = []
    if card.unverified or not card.verdicts:
        lines.append(("unverified", card.unverified or "not compared with PyTorch"))
    if card.unverified and card.verdicts:
        lines.append(("", "the following verdicts are those of the ONNX graph it was made from"))
    lines += [line for verdict in card.verdicts for line in _verdict_lines(verdict)]
    return [*lines, ("", "")]


def _verdict_lines(verdict: "Verdict") -> list[Line]:
    """Figures with their limits, and the cases that were compared."""
    machine = f", {verdict.machine}" if verdict.machine else ""
    speed = f"{verdict.speedup:.1f}x as fast as eager; " if verdict.speedup is not None else ""
    return [
        (
            "proven" if verdict.passed else "FAILED",
            f"{verdict.entry_point} on {verdict.runtime} ({verdict.device}{machine})",
        ),
        *(("", _figure(name, value, verdict)) for name, value in verdict.measured.items()),
        ("", f"{speed}{', '.join(verdict.cases)}"),
        *([("", f"worst: {verdict.worst_image}")] if verdict.worst_image else []),
    ]


def _figure(name: str, value: float, verdict: "Verdict") -> str:
    limit = verdict.tolerance.get(name)
    words = f"{FIGURES.get(name, name.replace('_', ' '))}: {value:.4g}"
    return words if limit is None else f"{words} (limit {limit:g})"


def _origin_lines(card: "ModelCard") -> list[Line]:
    licence = f"; licence: {card.data_licence}" if card.data_licence else ""
    facts = [
        ("trained on", f"{card.training_data or 'not stated'}{licence}"),
        ("intended use", card.intended_use),
        *(("made from", f"{role} {sha256}") for role, sha256 in card.parents.items()),
        ("versions", _pairs(card.versions)),
    ]
    return [(what, words) for what, words in facts if words]


def _pairs(mapping: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in mapping.items())
