"""PyTorch's compiler, on a checkpoint."""

from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX, BackendSpec

SPEC = BackendSpec(
    name="compile",
    title="torch.compile",
    suffix=CHECKPOINT_SUFFIX,
    runtime="stargan_deploy.backends.compile.runtime:CompiledRuntime",
    packages={"torch": "2.11"},
    tools=("triton",),  # the compiler of GPU kernels
    devices=("cpu", "cuda", "mps"),
    precisions=("fp32", "fp16", "bf16"),
    colours=("#c49915", "#fbc857"),
)
