"""Matrix products in onnxruntime, on the CPU; on a GPU it calls the same library as torch."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from stargan_deploy.backends.onnx.runtime import CPU_PROVIDER, SILENT, load_library
from stargan_deploy.backends.products import Arithmetic, Product, Size, factors
from stargan_deploy.errors import BackendError


def product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """Prepares a product; see `backends.products`."""
    if device != "cpu" or arithmetic == "bfloat16":
        raise BackendError(f"onnxruntime is not asked for {arithmetic} products on {device}")
    onnxruntime = load_library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    graph, left = _onnx_product(arithmetic, size)
    session = onnxruntime.InferenceSession(graph, options, providers=[CPU_PROVIDER])
    return lambda: session.run(None, {"left": left})


def _onnx_product(arithmetic: Arithmetic, size: Size) -> tuple[bytes, Any]:
    """An ONNX model that multiplies its input by a constant, and an input."""
    rows, columns, inner = size
    left, right = factors(arithmetic, size)
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
