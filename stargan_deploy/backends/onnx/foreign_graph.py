"""Describes ONNX files that stargan-deploy did not export."""

from pathlib import Path
from typing import Any


def read_foreign_graph(path: Path) -> dict[str, Any] | None:
    """Read an ONNX file without a card, whether its weights are inside it or in a file next to it.

    Returns:
        Plain values, as JSON holds them; None of any other file.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from stargan_deploy.card.card import CARD_KEY

    try:
        model = onnx.load_model(path, load_external_data=False)
    except (DecodeError, OSError):
        return None
    if not model.graph.node or any(entry.key == CARD_KEY for entry in model.metadata_props):
        return None
    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        "made_by": f"{_text(model.producer_name)} {_text(model.producer_version)}".strip(),
        "ir_version": model.ir_version,
        "opsets": {_text(entry.domain) or "ai.onnx": entry.version for entry in model.opset_import},
        "num_operators": len(model.graph.node),
        "inputs": [_tensor(value) for value in model.graph.input if value.name not in weights],
        "outputs": [_tensor(value) for value in model.graph.output],
    }


def _tensor(value: Any) -> dict[str, Any]:
    """Name, type and shape of an ONNX graph's input or output; None for what it leaves open."""
    from onnx import TensorProto

    kind = value.type.WhichOneof("value") or "unknown type"
    if kind != "tensor_type":
        return {"name": _text(value.name), "dtype": kind.removesuffix("_type"), "shape": None}
    tensor = value.type.tensor_type
    names = {number: name.lower() for name, number in TensorProto.DataType.items()}
    dims = [_size(dim) for dim in tensor.shape.dim] if tensor.HasField("shape") else None
    dtype = names.get(tensor.elem_type, f"type {tensor.elem_type}")
    return {"name": _text(value.name), "dtype": dtype, "shape": dims}


def _size(dim: Any) -> int | str | None:
    """A fixed size, the name of a free one, or None."""
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return _text(dim.dim_param) or None


def _text(value: str | bytes) -> str:
    """A protobuf string, which is bytes where they are not UTF-8."""
    return value if isinstance(value, str) else value.decode(errors="replace")
