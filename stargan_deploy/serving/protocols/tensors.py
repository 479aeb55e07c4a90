"""Tensors in requests and answers of KServe's protocol, as JSON and in its binary extension.

The protocol is version 2 of github.com/kserve/open-inference-protocol; the extension is Triton's
(docs/protocol/extension_binary_data.md there): behind the JSON, whose length a header gives, follow
the bytes of the tensors in their order.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.errors import UsageError, unknown_name

Array = npt.NDArray[Any]

DATATYPES = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64"}
"""The protocol's names of types."""

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Header with the length of the JSON where binary tensors follow it."""

MAX_SIDE = 1 << 31


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A request for inference, taken apart."""

    id: str
    """The client's own name for it, which the answer repeats."""
    inputs: Mapping[str, Array]
    outputs: Mapping[str, bool]
    """The outputs that are wanted, and whether as bytes."""
    timeout_s: float | None
    """How long the client waits; None leaves it to the service."""


def parse_infer(body: bytes, header_length: str | None, point: EntryPoint) -> InferRequest:
    """Take a request apart.

    Args:
        body: of the request.
        header_length: text of `LENGTH_HEADER`; None where the body is JSON only.
        point: the entry point that is asked for.

    Raises:
        UsageError: anything that does not fit.
    """
    length = _length(header_length, len(body))
    document = _object(_loads(body[:length]), "the body")
    parameters = _object(document.get("parameters", {}), "'parameters'")
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise UsageError("'id' must be a text")
    return InferRequest(
        id=request_id,
        inputs=_inputs(_list(document, "inputs"), memoryview(body)[length:], point),
        outputs=_outputs(document, parameters, point),
        timeout_s=_timeout_s(parameters),
    )


def encode_infer(
    model: str, request: InferRequest, results: Mapping[str, Array], point: EntryPoint
) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where bytes follow it.

    Args:
        model: name of the model.
        request: what is answered.
        results: one array for each output of the entry point.
        point: the entry point.
    """
    described, contents = [], []
    for spec in (spec for spec in point.outputs if spec.name in request.outputs):
        array = np.ascontiguousarray(results[spec.name])
        tensor: dict[str, Any] = {"name": spec.name, "datatype": DATATYPES[spec.dtype]}
        tensor["shape"] = list(array.shape)
        if request.outputs[spec.name]:
            contents.append(array.tobytes())
            tensor["parameters"] = {"binary_data_size": array.nbytes}
        else:
            tensor["data"] = _json_values(array)
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": model, "model_version": "1", "outputs": described}
    head = json.dumps(({"id": request.id} if request.id else {}) | answer).encode()
    return b"".join((head, *contents)), len(head) if contents else None


def describe_tensor(spec: TensorSpec) -> dict[str, Any]:
    """A tensor in a model's metadata; -1 is any size."""
    shape = [dim.min if not dim.is_free else -1 for dim in spec.dims]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def _json_values(array: Array) -> list[Any]:
    """Values in the order of memory.

    Raises:
        UsageError: some are not finite, which JSON cannot say.
    """
    if not np.isfinite(array).all():
        raise UsageError("the result is not finite", hint="ask for it as binary data")
    values: list[Any] = array.ravel().tolist()
    return values


def _length(text: str | None, num_bytes: int) -> int:
    if text is None:
        return num_bytes
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
    if not 0 < length <= num_bytes:
        raise UsageError(f"{LENGTH_HEADER} must be from 1 to the length of the body, {num_bytes}")
    return length


def _loads(content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition(": line")[0][:100]
        raise UsageError(f"the body is not JSON: {reason}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _inputs(tensors: Sequence[Any], content: memoryview, point: EntryPoint) -> dict[str, Array]:
    specs = {spec.name: spec for spec in point.inputs}
    found: dict[str, Array] = {}
    start = 0
    for tensor in tensors:
        own = _object(tensor, "an input")
        spec = specs.get(_name(own))
        if spec is None:
            raise UsageError(unknown_name("input", _name(own), specs, where="this model"))
        if spec.name in found:
            raise UsageError(f"the input {spec.name!r} is given twice")
        num_bytes = _binary_size(own)
        found[spec.name] = _tensor(own, spec, content[start : start + (num_bytes or 0)])
        start += num_bytes or 0
    if start != len(content):
        raise UsageError(f"{len(content)} bytes follow the JSON, and the inputs take {start}")
    return found


def _tensor(tensor: Mapping[str, Any], spec: TensorSpec, content: memoryview) -> Array:
    """One input from its JSON and its bytes, if it has any."""
    datatype, wanted = tensor.get("datatype"), DATATYPES[spec.dtype]
    if datatype != wanted:
        raise UsageError(f"the input {spec.name!r} must be {wanted}, not {str(datatype)[:20]}")
    shape = _shape(tensor, spec)
    num = math.prod(shape)
    if _binary_size(tensor) is None:
        return _from_json(tensor.get("data"), spec, num).reshape(shape)
    if "data" in tensor:
        raise UsageError(f"the input {spec.name!r} has both 'data' and bytes")
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    if len(content) != num * dtype.itemsize:
        raise UsageError(
            f"the input {spec.name!r} of {num} values takes {num * dtype.itemsize} bytes, not "
            f"{len(content)}"
        )
    return np.frombuffer(content, dtype).astype(spec.dtype, copy=False).reshape(shape)


def _shape(tensor: Mapping[str, Any], spec: TensorSpec) -> tuple[int, ...]:
    sides = _list(tensor, "shape")
    good = all(type(side) is int and 0 <= side < MAX_SIDE for side in sides)
    if not good or len(sides) != len(spec.shape):
        raise UsageError(
            f"the shape of the input {spec.name!r} must be {len(spec.shape)} sizes ({spec.layout})"
        )
    return tuple(sides)


def _from_json(data: Any, spec: TensorSpec, num: int) -> Array:
    """Values of a list, nested or not."""
    try:
        values = np.array(data)
    except (ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"'data' of the input {spec.name!r} is not an array") from error
    kinds = "iu" if np.dtype(spec.dtype).kind in "iu" else "iuf"
    if not isinstance(data, list) or values.size != num or (num and values.dtype.kind not in kinds):
        raise UsageError(
            f"'data' of the input {spec.name!r} must be {num} "
            f"{'whole numbers' if kinds == 'iu' else 'numbers'}"
        )
    with np.errstate(over="ignore"):
        converted = values.astype(spec.dtype).ravel()
    is_same = np.isfinite(converted) if kinds == "iuf" else converted == values.ravel()
    if not is_same.all():
        raise UsageError(f"'data' of the input {spec.name!r} does not fit {DATATYPES[spec.dtype]}")
    return converted


def _binary_size(tensor: Mapping[str, Any]) -> int | None:
    """Bytes of a tensor behind the JSON; None where its values are in it."""
    size = _object(tensor.get("parameters", {}), "'parameters'").get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise UsageError("'binary_data_size' must be a number of bytes")
    return size


def _outputs(
    document: Mapping[str, Any], parameters: Mapping[str, Any], point: EntryPoint
) -> dict[str, bool]:
    known = [spec.name for spec in point.outputs]
    usual = _flag(parameters, "binary_data_output", False)
    if "outputs" not in document:
        return dict.fromkeys(known, usual)
    found: dict[str, bool] = {}
    for output in _list(document, "outputs"):
        own = _object(output, "an output")
        name = _name(own)
        if name not in known:
            raise UsageError(unknown_name("output", name, known, where="this model"))
        wanted = _object(own.get("parameters", {}), "'parameters'")
        if wanted.get("classification"):
            raise UsageError("'classification' is not offered", hint="ask for the output itself")
        found[name] = _flag(wanted, "binary_data", usual)
    return found or dict.fromkeys(known, usual)


def _timeout_s(parameters: Mapping[str, Any]) -> float | None:
    """The client's time limit, which the protocol has in microseconds; 0 is none."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or not 0 <= timeout < 1 << 62:
        raise UsageError("'timeout' must be a number of microseconds")
    return timeout / 1e6 if timeout else None


def _flag(parameters: Mapping[str, Any], name: str, usual: bool) -> bool:
    value = parameters.get(name, usual)
    if not isinstance(value, bool):
        raise UsageError(f"{name!r} must be true or false")
    return value


def _name(tensor: Mapping[str, Any]) -> str:
    name = tensor.get("name")
    return name[:100] if isinstance(name, str) else ""


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} must be a JSON object")
    return value


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise UsageError(f"{name!r} must be a list")
    return value
