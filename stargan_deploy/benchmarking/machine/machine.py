"""Describes where a benchmark runs: machine, sensors, versions, git revision, command line.

Nothing here raises: what is unknown is None or empty.
"""

import platform
import re
import shlex
import sys
from collections.abc import Sequence

from stargan_deploy.backends.registry import package_names
from stargan_deploy.benchmarking.machine import processor
from stargan_deploy.benchmarking.machine.gpu import GpuState, gpu_uuid, read_gpu
from stargan_deploy.benchmarking.results import Machine, Snapshot
from stargan_deploy.card.card import library_versions
from stargan_deploy.devices import CPU, Device
from stargan_deploy.files.revision import git_revision

OTHER_PACKAGES = ("numpy", "pillow")
"""Packages whose versions may change a figure, besides the backends'."""


def take_snapshot(device: Device = CPU) -> Snapshot:
    """Reads the sensors now.

    The clocks of an idle GPU fall within milliseconds, so a snapshot that is to show throttling is
    taken between measurements, not after a pause.

    Args:
        device: what is being measured; a GPU's sensors are read only if it is one.
    """
    gpu = _read_gpu(device) or GpuState()
    return Snapshot(
        cpu_mhz=processor.clocks_mhz(),
        cpu_celsius=processor.temperature_celsius(),
        load_average=processor.load_average(),
        gpu_mhz=gpu.mhz,
        gpu_memory_mhz=gpu.memory_mhz,
        gpu_watts=gpu.watts,
        gpu_celsius=gpu.celsius,
        gpu_throttling=gpu.throttling,
    )


def describe_machine(
    *,
    before: Snapshot,
    after: Snapshot,
    device: Device = CPU,
    num_threads: int | None = None,
    command: Sequence[str] | None = None,
) -> Machine:
    """Describes where a benchmark ran.

    Args:
        before: the sensors when it started.
        after: the sensors when it ended.
        device: what was measured.
        num_threads: number that the libraries were given; None takes torch's.
        command: words of the command line; None takes this process's.
    """
    gpu = _read_gpu(device) or GpuState()
    return Machine(
        cpu=CPU.name(),
        num_cores=processor.num_cores(),
        num_threads=num_threads or _torch_threads(),
        memory_bytes=processor.memory_bytes(),
        instruction_sets=processor.instruction_sets(),
        gpu=device.name() if device.is_cuda else None,
        driver=gpu.driver,
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=library_versions(*package_names(), *OTHER_PACKAGES)
        | (_cuda_versions() if device.is_cuda else {}),
        git_revision=git_revision(),
        command=command_line(sys.argv if command is None else command),
        before=before,
        after=after,
    )


def command_line(words: Sequence[str]) -> str:
    """Quotes a command line for a shell, with every path stripped to its last part.

    Paths may contain names of people and of customers.
    """
    return shlex.join(_without_folders(word) for word in words)


def _without_folders(word: str) -> str:
    """Strips each path in a word like "--out=a/b" or "x/y,x/z"."""
    printable = re.sub(r"[\x00-\x1f\x7f]", " ", word.encode("utf-8", "replace").decode())
    parts = re.split(r"([=,])", printable)
    return "".join(_last_part(part) for part in parts)


def _last_part(text: str) -> str:
    kept = [part for part in re.split(r"[/\\]", text) if part]
    return kept[-1] if kept else text


def _read_gpu(device: Device) -> GpuState | None:
    return read_gpu(gpu_uuid(device)) if device.is_cuda else None


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _cuda_versions() -> dict[str, str]:
    import torch

    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    found = {"cuda": torch.version.cuda, "cudnn": str(cudnn) if cudnn else None}
    return {name: version for name, version in found.items() if version}
