"""Packages of native code, traced by torch.export and compiled ahead of time by AOTInductor."""

from stargan_deploy.backends.spec import BackendSpec, Recommendation

SPEC = BackendSpec(
    name="pt2",
    title="torch.export, AOTInductor",
    suffix=".pt2",
    runtime="stargan_deploy.backends.pt2.runtime:Pt2Runtime",
    exporter="stargan_deploy.backends.pt2.exporter:Pt2Exporter",
    packages={"torch": "2.11"},
    devices=("cpu", "cuda"),
    precisions=("fp32", "fp16", "bf16"),
    recommended=(Recommendation("cuda", 2, "fp16"),),
    colours=("#972885", "#b26eae"),
)
