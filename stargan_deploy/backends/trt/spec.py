"""TensorRT and TensorRT-RTX engines."""

from stargan_deploy.backends.spec import BackendSpec

SPEC = BackendSpec(
    name="trt",
    title="TensorRT",
    suffix=".engine",
    runtime="stargan_deploy.backends.trt.runtime:TensorRTRuntime",
    exporter="stargan_deploy.backends.trt.exporter:TensorRTExporter",
    # The first versions that let several contexts compute in one memory and in CUDA graphs.
    packages={"tensorrt": "10.1", "tensorrt-rtx": "1.2"},
    extra="tensorrt-rtx",
    devices=("cuda",),
    precisions=("fp16", "fp32"),
    colours=("#bb100c", "#d26833"),
)
