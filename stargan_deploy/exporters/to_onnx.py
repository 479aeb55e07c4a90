"""Writes entry points as ONNX: dynamic where the card says so, and quietly."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from stargan_deploy.card import CARD_KEY, Dim, EntryPoint, ModelCard, TensorSpec
from stargan_deploy.errors import ExportError, brief
from stargan_deploy.exporters.formats import WrittenGraph
from stargan_deploy.exporters.pixels import PixelModule
from stargan_deploy.runtimes import onnxrt

SUFFIX = ".onnx"
BACKEND = "onnx"

OPSET = 20
"""Known to onnxruntime from 1.17 on, to OpenVINO and to TensorRT 10 and 11."""

LAYER_KINDS = {
    "Conv": "conv",
    "ConvTranspose": "conv",
    "InstanceNormalization": "norm",
    "BatchNormalization": "norm",
    "Gemm": "linear",
    "MatMul": "linear",
}
"""Kind of layer by ONNX operator; the second input of each holds its weights."""

_EXAMPLE_STEPS = 6
"""Size of an example input in steps of its dimension; small, and unlike any size in a network."""


def write_graph(module: PixelModule, point: EntryPoint, path: Path) -> WrittenGraph:
    """Writes one entry point as an ONNX file without a card.

    Args:
        module: in eval mode.
        point: the names, types and dimensions that the graph shall have.
        path: where to write.

    Returns:
        What was written.

    Raises:
        ExportError: torch cannot express the module in ONNX with these dimensions.
    """
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                tuple(map(_example, point.inputs)),
                dynamo=True,
                opset_version=OPSET,
                input_names=[spec.name for spec in point.inputs],
                output_names=[spec.name for spec in point.outputs],
                dynamic_shapes=_dynamic_shapes(point),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ExportError(
            f"torch cannot write this model as ONNX: {_first_cause(error)}"
        ) from error
    if program is None:
        raise ExportError("torch gave no ONNX model for this module")
    model = program.model_proto
    precision = _measured_precision(model)
    graph = onnxrt.graph_bytes(_cleaned(model, point))
    path.write_bytes(graph)
    onnx.checker.check_model(path, full_check=True)
    return WrittenGraph(payload_sha256=onnxrt.payload_sha256(graph), precision=precision)


def attach_card(path: Path, card: ModelCard) -> None:
    """Puts a card into an ONNX file, in place of one that is there."""
    graph = onnxrt.graph_bytes(onnxrt.read_model(path))
    entry = onnx.StringStringEntryProto(key=CARD_KEY, value=card.to_json())
    # Serialised messages one after the other are one message with the fields of both.
    path.write_bytes(graph + onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def _measured_precision(model: onnx.ModelProto) -> dict[str, str]:
    """Types of the weights that a graph's layers compute with; several are joined with a plus."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    found: dict[str, set[str]] = {}
    for node in model.graph.node:
        if node.op_type in LAYER_KINDS:
            names = found.setdefault(LAYER_KINDS[node.op_type], set())
            names.add(_type_name(types[node.input[1]]))
    return {kind: "+".join(sorted(names)) for kind, names in sorted(found.items())}


def _example(spec: TensorSpec) -> Tensor:
    """A tensor of zeros that fits; its sizes only start the tracing and end up nowhere."""
    sizes = [dim if isinstance(dim, int) else _example_size(dim) for dim in spec.shape]
    return torch.zeros(sizes, dtype=getattr(torch, spec.dtype))


def _example_size(dim: Dim) -> int:
    least = -(-dim.min // dim.multiple)
    return max(least, _EXAMPLE_STEPS) * dim.multiple


def _dynamic_shapes(point: EntryPoint) -> tuple[Any, ...]:
    """What `torch.export` needs to know of the inputs' dimensions; equal symbols stay equal.

    All inputs are one item, because the module takes them as one variable argument.
    """
    known: dict[str, Any] = {}
    for spec in point.inputs:
        for dim in spec.shape:
            if isinstance(dim, Dim) and dim.symbol not in known:
                known[dim.symbol] = _torch_dim(dim)
    shapes = (
        {i: known[dim.symbol] for i, dim in enumerate(spec.shape) if isinstance(dim, Dim)}
        for spec in point.inputs
    )
    return (tuple(shapes),)


def _torch_dim(dim: Dim) -> Any:
    limit = None if dim.max is None else dim.max // dim.multiple
    steps = torch.export.Dim(dim.symbol, min=-(-dim.min // dim.multiple), max=limit)
    return steps if dim.multiple == 1 else dim.multiple * steps


def _cleaned(model: onnx.ModelProto, point: EntryPoint) -> onnx.ModelProto:
    """Leaves the graph alone, without the exporter's notes, and names its dimensions.

    The notes hold source lines and paths of the machine that exported, which nobody needs and which
    would make equal graphs unequal.
    """
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
        noted.doc_string = ""
    del graph.value_info[:]
    for values, specs in ((graph.input, point.inputs), (graph.output, point.outputs)):
        for value, spec in zip(values, specs, strict=True):
            _name_dims(value, spec)
    return model


def _name_dims(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    """Writes the card's symbols where the exporter wrote terms such as `4*height`."""
    pairs = zip(value.type.tensor_type.shape.dim, spec.shape, strict=True)
    for found, wanted in pairs:
        if isinstance(wanted, Dim) and found.dim_param:
            found.dim_param = wanted.symbol
        elif found.dim_value != wanted:
            raise ExportError(f"the graph has other sizes for {spec.name!r} than {spec.shape}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's progress lines, log lines and warnings from the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _type_name(elem_type: int) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type))


def _first_cause(error: BaseException) -> str:
    """What went wrong at the bottom of the exporter's chain of errors."""
    while error.__cause__ is not None:
        error = error.__cause__
    return brief(error)
