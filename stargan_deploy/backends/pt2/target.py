"""The target of a compiled package (device, instruction set, torch), and whether it is here.

Native code that meets a processor without its instructions ends the process without a word, so
what it needs is written down when it is compiled and compared before it is loaded.
"""

import dataclasses
import platform
import sys

from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.errors import BackendError

ISA_FEATURES: dict[str, tuple[str, ...]] = {
    "INVALID_VEC_ISA": (),
    "AVX2": ("avx2", "f16c", "fma3"),
    "AVX512": ("avx512_bw", "avx512_dq", "avx512_f", "avx512_vl", "fma3"),
    "AVX512_VNNI": ("avx512_vnni",),
}
"""Processor features that code for an x86 instruction set needs, by torch's names: those that the
compiler is told to use (`torch._inductor.cpu_vec_isa`)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """The platform that a package was compiled for, and its inputs and outputs."""

    device: str
    """"cpu" or "cuda"."""
    platform: str
    """Operating system, as `sys.platform` names it."""
    machine: str
    """Kind of processor, such as "x86_64"."""
    isa: str
    """Instruction set, as torch names it, such as "AVX512 AVX512_VNNI"."""
    cpu_features: tuple[str, ...]
    """Features that the processor must have, as `torch.cpu.get_capabilities` names it."""
    torch: str
    """Version of torch; packages run on its major and minor version."""
    compute_capability: str = ""
    """Compute capability of the GPU, such as "9.0"; empty for a CPU."""
    threads: int | None = None
    """Threads that the code uses on a CPU: 0 for those that torch has when it runs; another number
    was fixed by the exporter. None in packages that do not say."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def text(self) -> str:
        """In words, such as "linux x86_64 processors with AVX512, torch 2.15"."""
        place = f"{self.platform} {self.machine} processors with {self.isa or 'no vectors'}"
        if self.device == "cuda":
            place = f"NVIDIA GPUs of compute capability {self.compute_capability}, {place}"
        elif self.threads:
            place = f"{place}, always with {self.threads} threads"
        return f"{place}, torch {_release(self.torch)}"


def machine_here(device: str) -> dict[str, str]:
    """The fields of a target that is compiled here which only depend on the machine."""
    import torch

    capability = ""
    if device.startswith("cuda"):
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return {
        "platform": sys.platform,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "compute_capability": capability,
    }


def features_of(isa: str, *, is_native: bool) -> tuple[str, ...]:
    """Processor features that code for an instruction set needs.

    Args:
        isa: torch's name.
        is_native: whether the compiler may have used all that this very processor has.
    """
    names = isa.split()
    if is_native or not all(name in ISA_FEATURES for name in names):
        return tuple(sorted(cpu_features()))
    return tuple(sorted({feature for name in names for feature in ISA_FEATURES[name]}))


def cpu_features() -> set[str]:
    """Features of this processor, as torch names them."""
    import torch

    found = torch.cpu.get_capabilities()
    features = {name for name, value in found.items() if value is True}
    length = found.get("sve_max_length")  # code for vectors of one length is wrong at another
    return features | ({f"sve_max_length={length}"} if length else set())


def check_fits(target: Target, where: str, device: str) -> None:
    """Compares the target of a package with this machine.

    Args:
        target: the package's.
        where: the package's file, for messages.
        device: what it is to run on: "cpu" or "cuda:N".

    Raises:
        BackendError: it would not run here, or end the process.
    """
    reason = _mismatch(target, device) or _lack(target)
    if reason:
        raise BackendError(
            f"{where} was compiled for {reason}",
            hint="export the checkpoint again for this machine",
        )


def _mismatch(target: Target, device: str) -> str | None:
    """The first property that differs here."""
    here = machine_here(device)
    pairs = (
        ("device", target.device, device.partition(":")[0]),
        ("platform", target.platform, here["platform"]),
        ("processor", target.machine, here["machine"]),
        ("torch", _release(target.torch), _release(here["torch"])),
        ("compute capability", target.compute_capability, here["compute_capability"]),
    )
    wrong = (f"{kind} {wanted}, not {found}" for kind, wanted, found in pairs if wanted != found)
    return next(wrong, None)


def _lack(target: Target) -> str | None:
    missing = sorted(set(target.cpu_features) - cpu_features())
    return f"{target.isa}, and this processor lacks {', '.join(missing)}" if missing else None


def _release(version: str) -> str:
    """Major and minor version: "2.15" of "2.15.0+cu132"."""
    return ".".join(version.partition("+")[0].split(".")[:2])
