"""Peak memory of a backend, measured in a process that does nothing else.

The figure is the peak resident memory of a fresh process that imports the backend's library, opens
a model and makes two calls: what a machine or a container must have for it, interpreter and
libraries included. How much the interpreter and the imported library take before the model is
opened is given separately. A compiler that a backend starts as another process does not count; one
that runs inside it, as torch.compile does, does.

On Linux the figure is VmHWM in /proc/self/status, which starts anew when a program starts and which
psutil does not report. `getrusage` would not do: there a child's ru_maxrss starts at its parent's.

On a GPU, the figure is how much more memory the driver has in use after the calls than before the
process touched it: context, libraries, weights and workspaces, which the backends keep until they
are closed. Another process that allocates memory at the same time spoils it.
"""

import dataclasses
import json
import re
import sys
from pathlib import Path

import psutil

from stargan_deploy.benchmarking.machine.gpu import gpu_uuid, read_gpu
from stargan_deploy.card.card import Precision
from stargan_deploy.devices import Device, parse_device
from stargan_deploy.errors import StarganDeployError, brief
from stargan_deploy.isolated import Answer, ask_child

LIMIT_S = 180.0
"""Time limit of the process, imports and compilation included."""

NUM_CALLS = 2
"""The first call allocates; the second shows what calls keep."""

_CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from stargan_deploy.benchmarking.measure.memory import answer; answer(*sys.argv[2:])"
)
"""Program of the measured process; arguments: this package's folder, probe, UUID, answer file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryProbe:
    """The model that the measured process opens, and the entry point that it calls."""

    path: str
    """A checkpoint or an artefact."""
    backend: str
    device: str = "cpu"
    batch_size: int = 1
    height: int
    width: int
    entry_point: str = "translate"
    precision: Precision | None = None
    """Compute precision of a checkpoint; an artefact has its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Peak memory of the process; None where it is unknown."""

    host_bytes: int | None = None
    """Peak resident memory of the whole process."""
    libraries_bytes: int | None = None
    """Resident memory before the model was opened: interpreter and libraries."""
    device_bytes: int | None = None
    """Memory on the GPU, with the context that every process has there."""
    reason: str = ""
    """Why there are no figures."""


def measure_peak_memory(probe: MemoryProbe, *, limit_s: float = LIMIT_S) -> PeakMemory:
    """Runs a model in a process of its own, which may fail, crash or hang.

    Args:
        probe: what to open and call.
        limit_s: how long to wait, in seconds.
    """
    words = [json.dumps(dataclasses.asdict(probe)), gpu_uuid(parse_device(probe.device))]
    found = ask_child(_CHILD, words, limit_s=limit_s)
    try:
        return PeakMemory(**(found.fields or {"reason": _failure(found, limit_s)}))
    except TypeError:
        return PeakMemory(reason=_failure(found, limit_s))


def answer(probe: str, uuid: str, place: str) -> None:
    """Runs a probe in this process, and writes its peak memory to a file."""
    try:
        peak = _run(MemoryProbe(**json.loads(probe)), uuid)
    except StarganDeployError as error:
        peak = PeakMemory(reason=brief(error))
    except Exception as error:  # any library may raise anything
        peak = PeakMemory(reason=f"{type(error).__name__}: {brief(error)}")
    Path(place).write_text(json.dumps(dataclasses.asdict(peak)), encoding="utf-8")


def _run(probe: MemoryProbe, uuid: str) -> PeakMemory:
    from stargan_deploy.backends.registry import load_runtime, open_runtime
    from stargan_deploy.card.inputs import draw_inputs

    device = parse_device(probe.device)
    used_before = _device_bytes_in_use(device, uuid)
    load_runtime(probe.backend)
    libraries_bytes = psutil.Process().memory_info().rss
    runtime = open_runtime(
        Path(probe.path),
        backend=probe.backend,
        device=probe.device,
        batch_size=probe.batch_size,
        precision=probe.precision,
    )
    with runtime:
        point = runtime.card.entry_point(probe.entry_point)
        size = {"H": probe.height, "W": probe.width}
        rows = range(probe.batch_size)
        for seed in range(NUM_CALLS):
            inputs = draw_inputs(point, rows, sizes=size, seed=seed)
            runtime.run(inputs, entry_point=probe.entry_point)
        host_bytes = _peak_resident_bytes()
        used_after = _device_bytes_in_use(device, uuid)
    return PeakMemory(
        host_bytes=host_bytes,
        libraries_bytes=libraries_bytes,
        device_bytes=_device_peak(device, used_before, used_after),
        reason="" if host_bytes else "this system does not report a process's peak memory",
    )


def _peak_resident_bytes() -> int | None:
    """Peak resident memory of this process since its program started."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes there
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) * 1024 if peak else None


def _device_bytes_in_use(device: Device, uuid: str) -> int | None:
    state = read_gpu(uuid) if device.is_cuda else None
    return state.used_bytes if state else None


def _device_peak(device: Device, before: int | None, after: int | None) -> int | None:
    """The driver's figure, or at least what torch reserved, if it was in use."""
    figures = [after - before] if before is not None and after is not None else []
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        figures.append(torch.cuda.max_memory_reserved(str(device)))
    return max((figure for figure in figures if figure > 0), default=None)


def _failure(found: Answer, limit_s: float) -> str:
    """Describes what happened to a process that gave no answer."""
    if found.code == -9:  # SIGKILL, a name that Windows lacks
        return "the process was killed, as happens where memory runs out"
    ending = found.ending(limit_s)
    return ending if found.code is None else f"the process {ending}"
