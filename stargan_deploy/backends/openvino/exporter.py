"""Writes entry points as OpenVINO IR, in FP32 and bf16 from the same graph, and in INT8."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stargan_deploy.backends.exporter import Exporter, GraphRequest, WrittenGraph
from stargan_deploy.backends.openvino import file as ir
from stargan_deploy.backends.openvino.compile import (
    LAYER_KINDS,
    TRANSPOSED,
    Hint,
    compile_model,
    layer_precision,
    layer_types,
    load_library,
    load_model,
    reason,
)
from stargan_deploy.backends.openvino.quantize import quantise
from stargan_deploy.backends.openvino.spec import SPEC
from stargan_deploy.card.card import CARD_KEY, ModelCard, Precision
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.errors import ExportError, OutputError
from stargan_deploy.files.atomic import write_bytes

_ALLOWED = {"fp32": {"float32"}, "bf16": {"bfloat16"}, "int8": {"int8", "float32"}}
"""Types that layers with weights may turn out to compute in, by the precision asked for."""


class OpenVinoExporter(Exporter):
    """Writes an XML file and its weights next to it, from an FP32 ONNX graph."""

    def source_precision(self, precision: Precision) -> Precision | None:  # noqa: ARG002 - the base's
        """All are made from the FP32 graph: bf16 when it is compiled, INT8 by quantising."""
        return "fp32"

    def side_files(self, path: Path) -> tuple[Path, ...]:
        """The weights."""
        return (path.with_suffix(SPEC.weights_suffix),)

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point without a card; see `Exporter`.

        A bf16 artefact holds FP32 weights, which OpenVINO rounds when it loads them.

        Raises:
            ExportError: OpenVINO cannot express or quantise the graph, or its layers do not
                compute in the precision that was asked for.
            BackendError: OpenVINO or NNCF is not installed, or this CPU does not compute in bf16.
            OutputError: the files cannot be written.
        """
        hint: Hint = "bf16" if request.precision == "bf16" else "f32"
        model, notes, packages = _convert(request), tuple[str, ...](), tuple(SPEC.packages)
        if request.precision == "int8":
            assert request.calibration is not None  # INT8 always comes with it
            model, notes = quantise(model, request.calibration)
            packages += SPEC.tools
        _save(model, path)
        graph = ir.read_representation(path)
        compiled = compile_model(load_model(graph, path), hint)
        layers = layer_types(compiled)
        _check_measured(layers, request.precision)
        if request.precision == "bf16":
            notes += _what_stays_in_f32(layers, path.name)
        return WrittenGraph(
            payload_sha256=graph.sha256,
            precision=layer_precision(compiled),
            notes=notes,
            packages=packages,
        )

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into an IR's XML file, replacing an earlier one."""
        write_bytes(path, ir.with_card(path, card))


def _convert(request: GraphRequest) -> Any:
    """An `openvino.Model` of the request's ONNX graph, whose dimensions keep to the card's limits.

    Raises:
        ExportError: OpenVINO does not know an operator, or the graph has other dimensions.
    """
    openvino = load_library()
    try:
        with _root_logger_kept():
            model = openvino.convert_model(request.graph)
        model.reshape({spec.name: _bounded_shape(spec) for spec in request.point.inputs})
    except Exception as error:  # its front ends' errors share no base class
        raise ExportError(f"OpenVINO cannot take this model: {reason(error)}") from error
    return model


@contextlib.contextmanager
def _root_logger_kept() -> Iterator[None]:
    """The converter sets the level and the filters of everybody's root logger when it fails."""
    level, filters = logging.root.level, list(logging.root.filters)
    try:
        yield
    finally:
        logging.root.setLevel(level)
        logging.root.filters[:] = filters


def _bounded_shape(spec: TensorSpec) -> Any:
    openvino = load_library()
    dims = [openvino.Dimension(d.least, -1 if d.max is None else d.max) for d in spec.dims]
    return openvino.PartialShape(dims)


def _save(model: Any, path: Path) -> None:
    """Writes a model with an empty place for the card, and nothing that tells runs apart.

    The converter notes versions, options and the source's own card, and numbers its nodes on from
    those of earlier conversions, so that equal graphs would be unequal files.
    """
    counts = Counter[str]()
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        counts[kind] += 1
        if kind not in ("Parameter", "Result"):
            node.set_friendly_name(f"{kind}_{counts[kind]}")
    for key in list(model.rt_info):
        del model.rt_info[key]
    model.set_rt_info("", CARD_KEY)
    try:
        load_library().save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:
        raise OutputError(
            f"cannot write {path}: {reason(error)}", hint="free space or choose another folder"
        ) from error


def _check_measured(layers: list[tuple[str, str]], precision: Precision) -> None:
    """Refuses a graph whose layers do not compute in the precision that was asked for.

    At bf16, transposed convolutions may stay in FP32, where OpenVINO itself leaves them.
    """
    lenient = precision == "bf16"
    found = {
        name
        for layer, name in layers
        if LAYER_KINDS[layer] != "norm"
        and not (lenient and (layer, name) == (TRANSPOSED, "float32"))
    }
    if not found <= _ALLOWED[precision] or (precision == "int8" and "int8" not in found):
        raise ExportError(
            f"the layers were to compute in {precision}, but in OpenVINO on this CPU they compute "
            f"in {' and '.join(sorted(found))}",
            hint="export with another `precision`",
        )


def _what_stays_in_f32(layers: list[tuple[str, str]], file: str) -> tuple[str, ...]:
    """A remark about the transposed convolutions that OpenVINO does not compute in bf16."""
    transposed = [name for layer, name in layers if layer == TRANSPOSED]
    in_f32 = transposed.count("float32")
    if not in_f32:
        return ()
    others = [name for layer, name in layers if layer != TRANSPOSED and name == "bfloat16"]
    rest = (
        "the other layers in bf16"
        if others or in_f32 < len(transposed)
        else ("and there are no others, so that this file is no faster than fp32")
    )
    return (
        f"{file}: OpenVINO computes {in_f32} of {len(transposed)} transposed convolutions in FP32, "
        f"{rest}",
    )
