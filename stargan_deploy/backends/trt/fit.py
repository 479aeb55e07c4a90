"""Whether an engine, a TensorRT and a GPU fit together, and why they do not."""

import logging

from stargan_deploy.backends.trt.file import BuiltWith
from stargan_deploy.backends.trt.gpu import Gpu
from stargan_deploy.backends.trt.provider import Provider, dotted
from stargan_deploy.errors import BackendError

AGAIN = "export again on this machine"

_DIAGNOSES = {
    "VERSION_MISMATCH": "it was built with another version of the library",
    "UNSUPPORTED_CC": "the library does not support this GPU, or the engine was built for others",
    "OLD_CUDA_DRIVER": "the NVIDIA driver is too old",
    "OLD_CUDA_RUNTIME": "the CUDA runtime is too old",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory",
    "MALFORMED_ENGINE": "it is not an engine of this library",
    "CUDA_ERROR": "CUDA does not work on this machine",
}
"""TensorRT-RTX's diagnoses in words."""

_log = logging.getLogger(__name__)


def check_fits(built: BuiltWith, provider: Provider, gpu: Gpu) -> None:
    """Refuses an engine that cannot work, before anything is loaded.

    Raises:
        BackendError: the engine was built with another version, or for other GPUs.
    """
    check_version(built, provider)
    wanted, found = built.compute_capability, dotted(gpu.capability)
    if not _is_capable(wanted, gpu.capability):
        newer = " and newer" if wanted.endswith("+") else ""
        raise BackendError(
            f"the engine was built for compute capability {wanted.rstrip('+')}{newer}, and "
            f"{gpu.name} has {found}",
            hint=AGAIN,
        )
    if not provider.is_rtx and built.gpu not in (None, gpu.name):
        _log.warning("the engine was tuned on %s, this is %s; %s", built.gpu, gpu.name, AGAIN)


def check_version(built: BuiltWith, provider: Provider) -> None:
    """Refuses an engine of another version, which no TensorRT loads.

    Raises:
        BackendError: the versions differ.
    """
    if built.version != provider.version:
        raise BackendError(
            f"the engine was built with {built.provider} {built.version}, this is "
            f"{provider.version}",
            hint=f"export again, or pip install {provider.package}=={built.version}",
        )


def load_error(
    built: BuiltWith, gpu: Gpu, diagnoses: tuple[str, ...], problem: str
) -> BackendError:
    """The reason why an engine did not load.

    Args:
        built: the library and GPU that it was built with.
        gpu: the GPU that it did not load on.
        diagnoses: the library's own, as `Provider.why_invalid` gives them.
        problem: the library's log message.
    """
    reasons = [_DIAGNOSES.get(name, name) for name in diagnoses] or [problem]
    driver = f" (built with driver for CUDA {built.driver})" if built.driver else ""
    return BackendError(
        f"{built.provider} {built.version} cannot load the engine on {gpu.name}, compute "
        f"capability {dotted(gpu.capability)}, driver for CUDA {gpu.driver}{driver}: "
        f"{', and '.join(reasons)}",
        hint=f"{AGAIN}, or update the driver",
    )


def _is_capable(wanted: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU is among those that a `BuiltWith.compute_capability` stands for."""
    if wanted.endswith("+"):
        major, _, minor = wanted.rstrip("+").partition(".")
        return capability >= (int(major), int(minor))
    return wanted == dotted(capability)
