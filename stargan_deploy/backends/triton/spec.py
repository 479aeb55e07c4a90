"""Models of a Triton Inference Server repository, which onnxruntime runs there and here."""

from stargan_deploy.backends.spec import BackendSpec

SPEC = BackendSpec(
    name="triton",
    title="Triton model repository",
    suffix="",
    exporter="stargan_deploy.backends.triton.exporter:TritonExporter",
    run_by="onnx",
    packages={"onnxruntime-gpu": "1.23", "onnxruntime": "1.23"},
    tools=("onnx", "onnxscript"),
    devices=("cpu", "cuda"),
    precisions=("fp32", "fp16", "int8"),
    colours=("#14abd7", "#03c4fe"),
)
