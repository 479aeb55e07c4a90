"""OpenVINO's intermediate representation on the CPU."""

from stargan_deploy.backends.spec import BackendSpec, Recommendation

SPEC = BackendSpec(
    name="openvino",
    title="OpenVINO",
    suffix=".xml",
    weights_suffix=".bin",
    runtime="stargan_deploy.backends.openvino.runtime:OpenVinoRuntime",
    exporter="stargan_deploy.backends.openvino.exporter:OpenVinoExporter",
    packages={"openvino": "2026.4"},
    tools=("nncf",),
    extra="openvino",
    devices=("cpu",),
    precisions=("fp32", "bf16", "int8"),
    recommended=(Recommendation("cpu", 1, "bf16"), Recommendation("cpu", 2, "fp32")),
    library="openvino",
    product="stargan_deploy.backends.openvino.product:product",
    colours=("#0a946b", "#35e8b5"),
)
