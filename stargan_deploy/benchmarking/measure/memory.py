"""Peak memory of a backend, of a process that does nothing else.

The figure is the greatest resident memory of a fresh process that imports the backend's library,
opens a model and makes two calls: what a machine or a container must have for it, interpreter and
libraries included. How much of it the interpreter and the imported library take before the model
is opened is given beside it. A compiler that a backend starts as another process does not count;
one that runs inside it, as torch.compile does, does.

On Linux the figure is VmHWM in /proc/self/status, which starts anew when a program starts.
`getrusage` would not do: there a child's ru_maxrss starts at what its parent had.

Of a GPU's memory, the figure is what the driver had more in use after the calls than before the
process touched it: context, libraries, weights and workspaces, which the backends keep until they
are closed. Another process that takes memory at the same time spoils it.
"""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Literal

from stargan_deploy.benchmarking.machine.gpu import gpu_uuid, read_gpu
from stargan_deploy.card.card import Precision
from stargan_deploy.errors import StarganDeployError, brief
from stargan_deploy.isolated import Answer, ask_child

LIMIT_S = 180.0
"""How long a process may take, imports and compilation included."""

NUM_CALLS = 2
"""The first call allocates, and the second shows what calls keep."""

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from stargan_deploy.benchmarking.measure.memory import answer; answer(*sys.argv[2:])"
)
"""The program of the process that is measured: where this package is, workload, answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """What the process opens, and what it calls."""

    path: str
    """A checkpoint or an artefact."""
    backend: str
    device: str = "cpu"
    batch_size: int = 1
    height: int
    width: int
    entry_point: str = "translate"
    precision: Precision | None = None
    """Of a checkpoint, what its convolutions compute in; an artefact has its own."""
    weights: Literal["ema", "raw"] | None = None
    """Of a checkpoint with both kinds, which."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """What the process took at most; None where it cannot be told."""

    host_bytes: int | None = None
    """Greatest resident memory of the whole process."""
    libraries_bytes: int | None = None
    """Of that, what was resident before the model was opened: interpreter and libraries."""
    device_bytes: int | None = None
    """Of the GPU's memory, with the context that every process has there."""
    reason: str = ""
    """Why there are no figures."""


def measure_peak_memory(workload: Workload, *, limit_s: float = LIMIT_S) -> PeakMemory:
    """Runs a workload in a process of its own, which may fail, crash or hang.

    Args:
        workload: what to open and to call.
        limit_s: how long to wait, in seconds.
    """
    uuid = gpu_uuid(workload.device) if workload.device.startswith("cuda") else ""
    words = [json.dumps(dataclasses.asdict(workload)), uuid]
    found = ask_child(_CHILD, words, limit_s=limit_s)
    try:
        return PeakMemory(**(found.fields or {"reason": _without_answer(found, limit_s)}))
    except TypeError:
        return PeakMemory(reason=_without_answer(found, limit_s))


def answer(workload: str, uuid: str, place: str) -> None:
    """Runs a workload in this process, and writes what it took to a file."""
    try:
        peak = _run(Workload(**json.loads(workload)), uuid)
    except StarganDeployError as error:
        peak = PeakMemory(reason=brief(error))
    except Exception as error:  # any library may raise anything
        peak = PeakMemory(reason=f"{type(error).__name__}: {brief(error)}")
    Path(place).write_text(json.dumps(dataclasses.asdict(peak)), encoding="utf-8")


def _run(workload: Workload, uuid: str) -> PeakMemory:
    from stargan_deploy.backends.registry import load_runtime, open_runtime
    from stargan_deploy.card.inputs import draw_inputs

    used_before = _device_bytes_in_use(workload.device, uuid)
    load_runtime(workload.backend)
    libraries_bytes = _status_bytes("VmRSS")
    runtime = open_runtime(
        Path(workload.path),
        backend=workload.backend,
        device=workload.device,
        batch_size=workload.batch_size,
        weights=workload.weights,
        precision=workload.precision,
    )
    with runtime:
        point = runtime.card.entry_point(workload.entry_point)
        size = {"H": workload.height, "W": workload.width}
        rows = range(workload.batch_size)
        for seed in range(NUM_CALLS):
            inputs = draw_inputs(point, rows, sizes=size, seed=seed)
            runtime.run(inputs, entry_point=workload.entry_point)
        host_bytes = _peak_resident_bytes()
        used_after = _device_bytes_in_use(workload.device, uuid)
    return PeakMemory(
        host_bytes=host_bytes,
        libraries_bytes=libraries_bytes,
        device_bytes=_device_peak(workload.device, used_before, used_after),
        reason="" if host_bytes else "this system does not tell a process's peak memory",
    )


def _peak_resident_bytes() -> int | None:
    """Greatest resident memory of this process since its program started."""
    peak = _status_bytes("VmHWM")
    if peak is None and sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes there
    return peak


def _status_bytes(key: str) -> int | None:
    """A line of /proc/self/status, which gives kibibytes; None where there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None


def _device_bytes_in_use(device: str, uuid: str) -> int | None:
    if not device.startswith("cuda"):
        return None
    state = read_gpu(uuid)
    return state.used_bytes if state else None


def _device_peak(device: str, before: int | None, after: int | None) -> int | None:
    """What the driver says, or at least what torch took, where it was in use."""
    figures = [after - before] if before is not None and after is not None else []
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        figures.append(torch.cuda.max_memory_reserved(device))
    return max((figure for figure in figures if figure > 0), default=None)


def _without_answer(found: Answer, limit_s: float) -> str:
    """Words what happened to a child that gave no answer."""
    if found.code == -9:  # SIGKILL, a name that Windows lacks
        return "the process was killed, as happens where memory runs out"
    ending = found.ending(limit_s)
    return ending if found.code is None else f"the process {ending}"
