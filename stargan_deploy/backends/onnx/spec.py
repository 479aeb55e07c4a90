"""ONNX graphs in onnxruntime."""

from stargan_deploy.backends.spec import BackendSpec, Recommendation

SPEC = BackendSpec(
    name="onnx",
    title="onnxruntime",
    suffix=".onnx",
    runtime="stargan_deploy.backends.onnx.runtime:OnnxRuntime",
    exporter="stargan_deploy.backends.onnx.exporter:OnnxExporter",
    packages={"onnxruntime-gpu": "1.23", "onnxruntime": "1.23"},
    tools=("onnx", "onnxscript"),
    devices=("cpu", "cuda"),
    precisions=("fp32", "fp16", "int8"),
    recommended=(
        Recommendation("cpu", 3, "fp32"),
        Recommendation("cuda", 1, "fp16"),
        Recommendation("cuda", 3, "fp32"),
    ),
    library="onnxruntime",
    product="stargan_deploy.backends.onnx.product:product",
    colours=("#3757c3", "#2b92f4"),
)
