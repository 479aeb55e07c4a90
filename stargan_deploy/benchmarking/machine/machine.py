"""Where a benchmark runs: machine, sensors, versions, git revision, command line.

Nothing here raises: what this machine does not tell is None, or empty.
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
from stargan_deploy.devices import machine_name
from stargan_deploy.files.revision import git_revision

OTHER_PACKAGES = ("numpy", "pillow")
"""Packages whose versions may move a figure, besides the backends'."""


def take_snapshot(device: str = "cpu") -> Snapshot:
    """Reads the sensors now.

    The clocks of a GPU fall within milliseconds when it has nothing to do, so a snapshot that shall
    show throttling is taken between measurements, not after a pause.

    Args:
        device: what is being measured; the GPU's sensors are read only for a "cuda:N" device.
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
    device: str = "cpu",
    num_threads: int | None = None,
    command: Sequence[str] | None = None,
) -> Machine:
    """Puts together where a benchmark ran.

    Args:
        before: the sensors when it started.
        after: the sensors when it ended.
        device: "cpu", or the "cuda:N" device that was measured; no GPU is named for "cpu".
        num_threads: that the libraries were given; None asks torch for its own.
        command: the words of the command line; None takes this process's.
    """
    gpu = _read_gpu(device) or GpuState()
    on_gpu = device.startswith("cuda")
    return Machine(
        cpu=machine_name(),
        num_cores=processor.num_cores(),
        num_threads=num_threads or _torch_threads(),
        memory_bytes=processor.memory_bytes(),
        instruction_sets=processor.instruction_sets(),
        gpu=machine_name(device) if on_gpu else None,
        driver=gpu.driver,
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=library_versions(*package_names(), *OTHER_PACKAGES)
        | (_cuda_versions() if on_gpu else {}),
        git_revision=git_revision(),
        command=command_line(sys.argv if command is None else command),
        before=before,
        after=after,
    )


def command_line(words: Sequence[str]) -> str:
    """A command line in which every path is stripped to its last part, quoted for a shell.

    Paths tell names of people and of customers, and nobody else can use them.
    """
    return shlex.join(_without_folders(word) for word in words)


def _without_folders(word: str) -> str:
    """Strips the paths in a word, such as each of "--out=a/b" and "x/y,x/z"."""
    printable = re.sub(r"[\x00-\x1f\x7f]", " ", word.encode("utf-8", "replace").decode())
    parts = re.split(r"([=,])", printable)
    return "".join(_last_part(part) for part in parts)


def _last_part(text: str) -> str:
    kept = [part for part in re.split(r"[/\\]", text) if part]
    return kept[-1] if kept else text


def _read_gpu(device: str) -> GpuState | None:
    return read_gpu(gpu_uuid(device)) if device.startswith("cuda") else None


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _cuda_versions() -> dict[str, str]:
    import torch

    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    found = {"cuda": torch.version.cuda, "cudnn": str(cudnn) if cudnn else None}
    return {name: version for name, version in found.items() if version}
