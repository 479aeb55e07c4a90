"""The model card, and what an ONNX graph without one tells, as lines of text."""

from collections.abc import Mapping
from typing import Any

from stargan_deploy.card.card import EntryPoint, ModelCard, Verdict
from stargan_deploy.card.tensors import Dim, TensorSpec

FIGURES = {
    "max_difference": "max difference in 8-bit levels",
    "mean_difference": "mean difference in 8-bit levels",
    "psnr_db": "PSNR in dB",
}
"""Words for figures of a verdict whose names need some."""

Line = tuple[str, str]
"""Subject and text of a line; the subject is empty where a line continues."""


def card_lines(card: ModelCard, *, is_checkpoint: bool) -> list[Line]:
    """Everything that a card tells; the proof is left out for checkpoints."""
    lines = [
        ("model", f"{card.family}: {_pairs(card.network)}"),
        ("weights", f"{card.weights}, step {card.step:,}"),
        *_label_lines(card),
        *_image_lines(card),
        *_held_out_lines(card),
    ]
    for name, point in sorted(card.entry_points.items(), key=_images_first):
        lines += [("", ""), *_point_lines(name, point)]
    lines.append(("", ""))
    if card.precision:
        lines.append(("precision", f"{_pairs(card.precision)} (as measured)"))
    lines += _calibration_lines(card)
    lines += [("note", note) for note in card.notes]
    lines += [("", "")] if card.notes else []
    return [*lines, *([] if is_checkpoint else _proof_lines(card)), *_origin_lines(card)]


def _calibration_lines(card: ModelCard) -> list[Line]:
    """The faces that an INT8 model was quantised with."""
    facts = card.export.get("calibration")
    if not isinstance(facts, dict):
        return []
    kind = "photos" if facts.get("faces") == "photos" else "synthetic faces"
    words = f"{facts.get('ranges')} {kind}, {facts.get('held_out')} more to choose layers by"
    return [("calibrated", f"on {words}")]


def _label_lines(card: ModelCard) -> list[Line]:
    lines = []
    for labels in card.labels.sets:
        what = "attributes" if labels.kind == "multilabel" else "domains"
        of = f" (of {labels.name})" if card.labels.is_joint else ""
        lines.append((what, f"{', '.join(labels.names)}{of}"))
        lines += [("", f"at most one of: {', '.join(g)}") for g in labels.exclusive_groups]
    return lines


def _image_lines(card: ModelCard) -> list[Line]:
    how = card.preprocessing
    crop = f"centre crop {how.crop_size}, " if how.crop_size else ""
    least, greatest = how.pixel_range
    size = f"{how.image_size}x{how.image_size}"
    words = f"{crop}{how.resize_filter} resize to {size}, network sees {least:g} to {greatest:g}"
    if how.value_range:
        words += f"; deep ones from {how.value_range[0]:g} to {how.value_range[1]:g}"
    if how.condition:
        words += f"; of pairs side by side the {how.condition} half"
    return [("images", words)]


def _held_out_lines(card: ModelCard) -> list[Line]:
    """Figures on held-out images, those of single labels below the figure of all."""
    figures = dict(card.held_out)
    if not figures:
        return []
    lines = [("held out", f"{figures.pop('num_images', 0):,.0f} images")]
    for name, value in figures.items():
        start = f"{name}/"
        if "/" not in name:
            own = {
                key.removeprefix(start): v for key, v in figures.items() if key.startswith(start)
            }
            words = ", ".join(f"{label} {share:.3g}" for label, share in own.items())
            lines.append(("", f"{name.replace('_', ' ')} {value:.4g}{f': {words}' if own else ''}"))
    return lines


def _point_lines(name: str, point: EntryPoint) -> list[Line]:
    specs = [*(("input", spec) for spec in point.inputs), *(("output", s) for s in point.outputs)]
    dims = {dim.symbol: dim for _, spec in specs for dim in spec.shape if not isinstance(dim, int)}
    return [
        (name, f"in {point.file}"),
        *((f"  {what}", _words_of_spec(spec)) for what, spec in specs),
        *(("", f"{symbol}: {_limits(dim)}") for symbol, dim in dims.items()),
    ]


def _images_first(entry: tuple[str, EntryPoint]) -> bool:
    return not any(spec.kind == "image" for spec in entry[1].outputs)


def _words_of_spec(spec: TensorSpec) -> str:
    shape = " x ".join(str(dim) if isinstance(dim, int) else dim.symbol for dim in spec.shape)
    words = f"{spec.name}: {spec.kind}, {spec.dtype}, {shape} ({spec.layout})"
    if spec.value_range is None:
        return words
    least, greatest = spec.value_range
    return f"{words}, values {least:g} to {greatest:g}"


def _limits(dim: Dim) -> str:
    steps = f", a multiple of {dim.multiple}" if dim.multiple > 1 else ""
    limit = "or more" if dim.max is None else f"to {dim.max}"
    return f"{dim.min} {limit}{steps}"


def _proof_lines(card: ModelCard) -> list[Line]:
    lines = []
    if card.unverified or not card.verdicts:
        lines.append(("unverified", card.unverified or "not compared with PyTorch"))
    if card.unverified and card.verdicts:
        lines.append(("", "the following verdicts are those of the ONNX graph it was made from"))
    lines += [line for verdict in card.verdicts for line in _verdict_lines(verdict)]
    return [*lines, ("", "")]


def _verdict_lines(verdict: Verdict) -> list[Line]:
    """Figures with their limits, and the cases that were compared."""
    machine = f", {verdict.machine}" if verdict.machine else ""
    return [
        (
            "proven" if verdict.passed else "FAILED",
            f"{verdict.entry_point} on {verdict.runtime} ({verdict.device}{machine})",
        ),
        *(("", _figure(name, value, verdict)) for name, value in verdict.measured.items()),
        ("", ", ".join(verdict.cases)),
        *([("", f"worst: {verdict.worst_image}")] if verdict.worst_image else []),
    ]


def _figure(name: str, value: float, verdict: Verdict) -> str:
    limit = verdict.tolerance.get(name)
    words = f"{FIGURES.get(name, name.replace('_', ' '))}: {value:.4g}"
    return words if limit is None else f"{words} (limit {limit:g})"


def _origin_lines(card: ModelCard) -> list[Line]:
    licence = f"; licence: {card.data_licence}" if card.data_licence else ""
    facts = [
        ("trained on", f"{card.training_data or 'not stated'}{licence}"),
        ("intended use", card.intended_use),
        ("teacher", card.teacher.sha256 if card.teacher else ""),
        *(("made from", f"{role} {sha256}") for role, sha256 in card.parents.items()),
        ("versions", _pairs(card.versions)),
    ]
    return [(what, words) for what, words in facts if words]


def _pairs(mapping: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in mapping.items())


def graph_lines(graph: Mapping[str, Any]) -> list[Line]:
    """An ONNX graph as `backends.onnx.foreign_graph` reads it."""
    opsets = ", ".join(f"{domain} {version}" for domain, version in graph["opsets"].items())
    lines = [
        ("card", "none: this ONNX file was not exported by stargan-deploy; its graph:"),
        ("made by", graph["made_by"] or "not stated"),
        ("opset", f"{opsets or 'not stated'}; IR version {graph['ir_version']}"),
        ("operators", f"{graph['num_operators']:,}"),
    ]
    for what in ("input", "output"):
        lines += [(what, _words_of_value(tensor)) for tensor in graph[f"{what}s"]]
    return lines


def _words_of_value(tensor: Mapping[str, Any]) -> str:
    sizes = ["?" if size is None else str(size) for size in tensor["shape"] or []]
    shape = "of any shape" if tensor["shape"] is None else " x ".join(sizes) or "scalar"
    return f"{tensor['name']}: {tensor['dtype']}, {shape}"
