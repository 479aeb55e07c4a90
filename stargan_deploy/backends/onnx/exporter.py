"""Writes entry points as ONNX in FP32, FP16 or INT8: dynamic where the card says so, quietly."""

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from stargan_deploy.backends.exporter import (
    Exporter,
    GraphRequest,
    WrittenGraph,
    check_lowered,
    quiet,
    types_by_kind,
)
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.backends.onnx.quantize import has_quantizable, quantize_graph
from stargan_deploy.backends.onnx.spec import SPEC
from stargan_deploy.backends.tracing import dynamic_shapes, example_inputs
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import ExportError, brief
from stargan_deploy.families.blocks.precision import lower_convolutions
from stargan_deploy.files.atomic import write_text
from stargan_deploy.version import __version__

PRODUCER = "stargan-deploy"
"""Name that the graphs carry as their producer's."""

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

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class OnnxExporter(Exporter):
    """Writes ONNX files, straight from the networks."""

    def write_graph(self, request: GraphRequest, path: Path) -> WrittenGraph:
        """Writes one entry point as an ONNX file without a card; see `Exporter`.

        In an FP16 graph, convolutions and linear layers have float16 weights and a Cast on either
        side; norms and the graph's ends stay FP32, as they do in an INT8 graph (see `quantize`).

        Raises:
            ExportError: torch cannot express the module in ONNX with these dimensions, or not at
                the precision, or INT8 is too inaccurate for it.
            ModelError: weights that are too large for float16.
        """
        model, notes = _make_graph(request)
        precision = measured_precision(model)
        if request.precision == "fp16":
            check_lowered(precision, request.precision, "float16")
        graph = onnx_file.graph_bytes(_described(_cleaned(model, request.point), request))
        path.write_bytes(graph)
        onnx.checker.check_model(path, full_check=True)
        quantizers = tuple(SPEC.packages) if request.precision == "int8" else ()
        return WrittenGraph(
            payload_sha256=onnx_file.payload_sha256(graph),
            precision=precision,
            notes=notes,
            packages=(*SPEC.tools, *quantizers),
        )

    def attach_card(self, path: Path, card: ModelCard) -> None:
        """Puts a card into an ONNX file and next to it, replacing an earlier one.

        The one next to it is for those who cannot read the file's metadata, such as JavaScript.
        """
        onnx_file.attach_card(path, card)
        write_text(card_path(path), json.dumps(to_mapping(card), ensure_ascii=False, indent=1))

    def side_files(self, path: Path) -> tuple[Path, ...]:
        """The card next to it."""
        return (card_path(path),)


def card_path(path: Path) -> Path:
    """Where the card lies next to an ONNX file: `faces.json` for `faces.onnx`."""
    return path.with_suffix(".json")


def _make_graph(request: GraphRequest) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph at the precision asked for, and remarks for the user."""
    if request.precision == "fp32":
        return _exported(request.module, request.point), ()
    if request.precision == "fp16":
        return _exported(lower_convolutions(request.module, torch.float16), request.point), ()
    if request.precision == "int8" and request.calibration is not None:
        model = _exported(request.module, request.point)
        if not has_quantizable(model):  # a companion that only has linear layers
            entry_point = request.about.get("entry_point", "the graph")
            return model, (f"{entry_point} has no convolution and stays in float32",)
        quantized = quantize_graph(model, request.calibration)
        return quantized.model, quantized.notes
    raise ExportError(f"there is no way to write ONNX at {request.precision} from this request")


def _exported(module: nn.Module, point: EntryPoint) -> onnx.ModelProto:
    """A module as torch exports it."""
    try:
        with quiet(stdout=True):
            program = torch.onnx.export(
                module,
                example_inputs(point),
                dynamo=True,
                opset_version=OPSET,
                input_names=[spec.name for spec in point.inputs],
                output_names=[spec.name for spec in point.outputs],
                dynamic_shapes=dynamic_shapes(point),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ExportError(
            f"torch cannot write this model as ONNX: {_first_cause(error)}"
        ) from error
    if program is None:
        raise ExportError("torch gave no ONNX model for this module")
    model: onnx.ModelProto = program.model_proto
    return model


def measured_precision(model: onnx.ModelProto) -> dict[str, str]:
    """Types that a graph's layers compute in by kind of layer; several are joined with a plus."""
    graph = model.graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    layers = (node for node in graph.node if node.op_type in LAYER_KINDS)
    return types_by_kind(
        (
            LAYER_KINDS[node.op_type],
            ["int8" if _is_int8(node, graph, makers) else _float_type(node, types, makers)],
        )
        for node in layers
    )


def _is_int8(
    node: onnx.NodeProto, graph: onnx.GraphProto, makers: Mapping[str, onnx.NodeProto]
) -> bool:
    """Whether a layer stands between QDQ nodes, so that onnxruntime runs it as an INT8 kernel.

    That takes quantised activations, weights and output; with one of them missing, it computes in
    float on rounded numbers.
    """
    readers = [reader for reader in graph.node if node.output[0] in reader.input]
    return (
        all(name in makers and makers[name].op_type == _DEQUANTIZE for name in node.input)
        and bool(readers)
        and all(reader.op_type == _QUANTIZE for reader in readers)
    )


def _float_type(
    node: onnx.NodeProto, types: Mapping[str, int], makers: Mapping[str, onnx.NodeProto]
) -> str:
    """Type of a layer's weights; that of their scales where the graph stores them quantised."""
    weights = node.input[1]
    if weights in makers and makers[weights].op_type == _DEQUANTIZE:
        weights = makers[weights].input[1]
    return str(onnx.helper.tensor_dtype_to_np_dtype(types[weights]))


def _cleaned(model: onnx.ModelProto, point: EntryPoint) -> onnx.ModelProto:
    """Leaves the graph alone, without the exporter's notes, and names its dimensions.

    The notes hold source lines and paths of the machine that exported, and would make equal graphs
    unequal.
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


def _described(model: onnx.ModelProto, request: GraphRequest) -> onnx.ModelProto:
    """Notes who made the graph and what it is, for people who look at it in a viewer."""
    model.producer_name, model.producer_version = PRODUCER, __version__
    model.doc_string = model.graph.doc_string = request.about.get("description", "")
    if "entry_point" in request.about:
        model.graph.name = request.about["entry_point"]
    onnx.helper.set_model_props(model, dict(request.about))
    return model


def _name_dims(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    """Writes the card's symbols where the exporter wrote terms such as `4*height`."""
    pairs = zip(value.type.tensor_type.shape.dim, spec.shape, strict=True)
    for found, wanted in pairs:
        if isinstance(wanted, Dim) and found.dim_param:
            found.dim_param = wanted.symbol
        elif found.dim_value != wanted:
            raise ExportError(f"the graph has other sizes for {spec.name!r} than {spec.shape}")


def _first_cause(error: BaseException) -> str:
    """The first error of the exporter's chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return brief(error)
