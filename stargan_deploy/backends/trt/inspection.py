"""The inputs, outputs and layers of a network or engine, read back from it."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from stargan_deploy.backends.exporter import types_by_kind
from stargan_deploy.backends.trt.provider import Provider
from stargan_deploy.card.card import EntryPoint, Precision
from stargan_deploy.errors import CardError, ExportError

NETWORK_KINDS = {
    "CONVOLUTION": "conv",
    "DECONVOLUTION": "conv",
    "NORMALIZATION": "norm",
    "MATRIX_MULTIPLY": "linear",
}
"""Kind of layer by the name of its `LayerType`."""

CONVOLUTION_TYPES: dict[Precision, str] = {"fp32": "float32", "fp16": "float16"}
"""Type that a convolution has to compute in at each precision of an engine."""

_INSPECTED_KINDS = {"deconvolution": "conv", "convolution": "conv", "matrixmultiply": "linear"}
"""Kind by a part of the inspector's name for a layer."""

_INSPECTED_TYPES = {
    "float": "float32",
    "half": "float16",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "int8": "int8",
}
"""Type names of the inspector, in lower case."""

Interface = dict[str, tuple[str, str, tuple[int, ...]]]
"""Direction ("input" or "output"), type and shape by name; -1 is a size that is not fixed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer that does arithmetic on many values."""

    name: str
    kind: str
    """"conv", "norm" or "linear"."""
    types: frozenset[str]
    """Types of its weights, inputs and outputs."""


def network_layers(provider: Provider, network: Any) -> list[Layer]:
    """The layers of a network that was parsed; in a strongly typed one these types are binding."""
    layers = map(network.get_layer, range(network.num_layers))
    return [
        Layer(
            name=layer.name,
            kind=NETWORK_KINDS[layer.type.name],
            types=frozenset(_types_of(provider, layer)),
        )
        for layer in layers
        if layer.type.name in NETWORK_KINDS
    ]


def inspected_layers(report: str) -> list[Layer]:
    """The layers of an engine in its inspector's JSON, as far as it tells their weights' type.

    Layers that TensorRT merged into blocks of generated code have none. From 11 on other fields
    than these have changed.
    """
    entries = json.loads(report).get("Layers", [])
    layers = (_inspected(entry) for entry in entries if isinstance(entry, dict))
    return [layer for layer in layers if layer is not None]


def measured_precision(layers: Iterable[Layer]) -> dict[str, str]:
    """Types by kind of layer, several joined by "+", as a card holds them."""
    return types_by_kind((layer.kind, layer.types) for layer in layers)


def check_convolutions(layers: Iterable[Layer], precision: Precision) -> None:
    """Refuses an engine whose convolutions do not compute in the precision asked for.

    Raises:
        ExportError: there is such a convolution.
    """
    wanted = CONVOLUTION_TYPES[precision]
    wrong = [layer for layer in layers if layer.kind == "conv" and layer.types != {wanted}]
    if wrong:
        first, others = wrong[0], len(wrong) - 1
        more = f" (and {others} more)" if others else ""
        raise ExportError(
            f"the convolution {first.name!r}{more} computes in {'+'.join(sorted(first.types))} and "
            f"not in {wanted}, as `precision` {precision} says",
            hint="please report this as a bug",
        )


def card_interface(point: EntryPoint) -> Interface:
    """The interface in a card."""
    directions = {"input": point.inputs, "output": point.outputs}
    return {
        spec.name: (
            direction,
            spec.dtype,
            tuple(dim if isinstance(dim, int) else -1 for dim in spec.shape),
        )
        for direction, specs in directions.items()
        for spec in specs
    }


def network_interface(provider: Provider, network: Any) -> Interface:
    """The interface of a network."""
    tensors = {
        "input": map(network.get_input, range(network.num_inputs)),
        "output": map(network.get_output, range(network.num_outputs)),
    }
    return {
        tensor.name: (direction, provider.dtype_name(tensor.dtype), tuple(tensor.shape))
        for direction, found in tensors.items()
        for tensor in found
    }


def engine_interface(provider: Provider, engine: Any) -> Interface:
    """The interface of an engine."""
    names = map(engine.get_tensor_name, range(engine.num_io_tensors))
    return {
        name: (
            engine.get_tensor_mode(name).name.lower(),
            provider.dtype_name(engine.get_tensor_dtype(name)),
            tuple(engine.get_tensor_shape(name)),
        )
        for name in names
    }


def check_engine_interface(provider: Provider, engine: Any, point: EntryPoint) -> None:
    """Compares an engine with its card.

    Raises:
        CardError: they differ.
    """
    found, wanted = engine_interface(provider, engine), card_interface(point)
    if found != wanted:
        raise CardError(
            f"the engine has {found}, but its model card says {wanted}", hint="export again"
        )


def _types_of(provider: Provider, layer: Any) -> set[str]:
    tensors = [layer.get_input(index) for index in range(layer.num_inputs)]
    tensors += [layer.get_output(index) for index in range(layer.num_outputs)]
    types = {provider.dtype_name(tensor.dtype) for tensor in tensors if tensor is not None}
    kernel = _kernel(provider, layer)
    return types if kernel is None or not kernel.size else types | {str(kernel.dtype)}


def _kernel(provider: Provider, layer: Any) -> Any:
    """The weights of a convolution; None where they come in as a tensor, or where it is another."""
    classes = {
        "CONVOLUTION": provider.module.IConvolutionLayer,
        "DECONVOLUTION": provider.module.IDeconvolutionLayer,
    }
    if layer.type.name not in classes:
        return None
    layer.__class__ = classes[layer.type.name]  # the bindings give a bare ILayer
    return layer.kernel


def _inspected(entry: dict[str, Any]) -> Layer | None:
    name = f"{entry.get('LayerType', '')} {entry.get('ParameterType', '')}".lower()
    kind = next((kind for part, kind in _INSPECTED_KINDS.items() if part in name), None)
    weights = entry.get("Weights")
    if kind is None or not isinstance(weights, dict) or not weights.get("Count", 1):
        return None
    named = str(weights.get("Type", "")).lower()
    types = frozenset({_INSPECTED_TYPES.get(named, named)})
    return Layer(name=str(entry.get("Name", "")), kind=kind, types=types) if named else None
