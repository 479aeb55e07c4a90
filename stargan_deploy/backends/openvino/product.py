"""Matrix products in OpenVINO."""

import numpy as np

from stargan_deploy.backends.openvino.compile import load_library, openvino_core
from stargan_deploy.backends.products import Arithmetic, Product, Size, factors
from stargan_deploy.errors import BackendError


def product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """Prepares a product; see `backends.products`."""
    if device != "cpu":
        raise BackendError(f"openvino does not compute on {device}")
    openvino = load_library()
    ops = openvino.opset13
    left, right = factors("int8" if arithmetic == "int8" else "float32", size)
    taken = ops.parameter(left.shape, left.dtype)
    constant = ops.constant(right)
    if arithmetic == "int8":
        # The form that quantisers write: integer weights with a scale, activations with levels.
        limits = (ops.constant(value) for value in np.array([0, 255, 0, 255], np.float32))
        shown = ops.fake_quantize(ops.convert(taken, "f32"), *limits, 256)
        scaled = ops.multiply(ops.convert(constant, "f32"), ops.constant(np.float32(0.01)))
        outputs = ops.matmul(shown, scaled, False, False)
    else:
        outputs = ops.matmul(taken, constant, False, False)
    hint = {"bfloat16": "bf16", "float16": "f16"}.get(arithmetic, "f32")
    model = openvino.Model([outputs], [taken], "product")
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    kept = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if kept != hint:
        raise BackendError(f"openvino computes in {kept} where {hint} was asked for")
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(left))
    infer: Product = request.infer
    return infer
