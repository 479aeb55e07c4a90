"""PyTorch as it is: the reference that every artefact must equal."""

from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX, BackendSpec

SPEC = BackendSpec(
    name="eager",
    title="PyTorch",
    suffix=CHECKPOINT_SUFFIX,
    runtime="stargan_deploy.backends.eager.runtime:EagerRuntime",
    packages={"torch": "2.11"},
    devices=("cpu", "cuda", "mps"),
    precisions=("fp32",),
    library="torch",
    product="stargan_deploy.backends.eager.product:product",
    colours=("#33333a", "#acadb6"),
)
