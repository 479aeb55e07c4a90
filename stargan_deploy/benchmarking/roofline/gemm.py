"""Matrix products (GEMM) in each library, ready to be timed.

The factors are random: a GPU draws less power on zeros, and clocks higher.
"""

from collections.abc import Callable
from typing import Any, Literal

from stargan_deploy.errors import BackendError, brief

Product = Callable[[], object]
"""Computes a product once; on a GPU it only starts it."""

Arithmetic = Literal["float32", "bfloat16", "float16", "int8"]
"""Type of the factors; int8 is accumulated in int32, half precision in whatever the library does.
"""

_POOL = 65_537
"""Numbers that are drawn, and repeated to fill a factor, because drawing all of them takes long; a
prime, so that the rows differ."""

Size = tuple[int, int, int]
"""M, N, K of a product (M, K) x (K, N): M * N * K multiply-accumulates."""


def make_product(library: str, arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """Prepares a product and computes it once.

    Args:
        library: a name in `LIBRARIES`.
        arithmetic: what to multiply in. A library may compute in a wider type, if it can do no
            better.
        size: of the product.
        device: "cpu" or "cuda:N".

    Raises:
        BackendError: the library is not installed, or cannot do this here.
    """
    try:
        product = LIBRARIES[library](arithmetic, size, device)
        product()
    except BackendError:
        raise
    except Exception as error:  # the libraries' errors share no base class
        raise BackendError(f"{library} multiplies no {arithmetic}: {brief(error)}") from error
    return product


def _torch_product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    import torch

    rows, columns, inner = size
    if arithmetic == "int8":
        left = torch.randint(-100, 100, (rows, inner), dtype=torch.int8, device=device)
        # Stored by columns, as the GPU's integer units want it.
        right = torch.randint(-100, 100, (columns, inner), dtype=torch.int8, device=device).t()
        return lambda: torch._int_mm(left, right)
    dtype = getattr(torch, arithmetic)
    a, b = (torch.randn(shape, device=device) for shape in ((rows, inner), (inner, columns)))
    a, b, out = a.to(dtype), b.to(dtype), torch.empty(rows, columns, device=device, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def _onnxruntime_product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """On the CPU; on a GPU it calls the same library as torch."""
    import onnxruntime

    if device != "cpu" or arithmetic == "bfloat16":
        raise BackendError(f"onnxruntime is not asked for {arithmetic} products on {device}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    graph, left = _onnx_product(arithmetic, size)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def _onnx_product(arithmetic: Arithmetic, size: Size) -> tuple[bytes, Any]:
    """An ONNX model that multiplies its input by a constant, and an input."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rows, columns, inner = size
    left, right = _factors(arithmetic, size)
    taken = helper.np_dtype_to_tensor_dtype(left.dtype)
    given, operator = (
        (TensorProto.INT32, "MatMulInteger") if arithmetic == "int8" else (taken, "MatMul")
    )
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", taken, [rows, inner])],
        [helper.make_tensor_value_info("product", given, [rows, columns])],
        [numpy_helper.from_array(np.ascontiguousarray(right), "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content, left


def _openvino_product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    import openvino
    from openvino import opset13 as ops

    from stargan_deploy.backends.openvino.compile import openvino_core

    if device != "cpu":
        raise BackendError(f"openvino does not compute on {device}")
    left, right = _factors("int8" if arithmetic == "int8" else "float32", size)
    taken = ops.parameter(left.shape, left.dtype)
    constant = ops.constant(right)
    if arithmetic == "int8":
        # The form that quantisers write: integer weights with a scale, activations with levels.
        limits = (ops.constant(value) for value in _float32(0, 255, 0, 255))
        shown = ops.fake_quantize(ops.convert(taken, "f32"), *limits, 256)
        scaled = ops.multiply(ops.convert(constant, "f32"), ops.constant(_float32(0.01)[0]))
        product = ops.matmul(shown, scaled, False, False)
    else:
        product = ops.matmul(taken, constant, False, False)
    hint = {"bfloat16": "bf16", "float16": "f16"}.get(arithmetic, "f32")
    model = openvino.Model([product], [taken], "product")
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    kept = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if kept != hint:
        raise BackendError(f"openvino computes in {kept} where {hint} was asked for")
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(left))
    infer: Product = request.infer
    return infer


def _factors(arithmetic: Arithmetic, size: Size) -> tuple[Any, Any]:
    """Random factors as numpy arrays; of int8, unsigned activations by signed weights."""
    import numpy as np

    rows, columns, inner = size
    draws = np.random.default_rng(0)
    if arithmetic == "int8":
        pool = draws.integers(1, 256, _POOL, dtype=np.uint8)
        return np.resize(pool, (rows, inner)), np.resize(pool.view(np.int8), (inner, columns))
    pool = draws.standard_normal(_POOL, np.float32).astype(arithmetic)
    return np.resize(pool, (rows, inner)), np.resize(pool, (inner, columns))


def _float32(*values: float) -> list[Any]:
    import numpy as np

    return [np.float32(value) for value in values]


LIBRARIES: dict[str, Callable[[Arithmetic, Size, str], Product]] = {
    "torch": _torch_product,
    "onnxruntime": _onnxruntime_product,
    "openvino": _openvino_product,
}
