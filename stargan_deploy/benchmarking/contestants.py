"""What a benchmark compares: each backend at each precision, opened and ready to be called."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.benchmarking.inputs import random_inputs
from stargan_deploy.benchmarking.results import StartUp, Unusable
from stargan_deploy.card import Precision
from stargan_deploy.errors import StarganDeployError, UsageError, unknown_name
from stargan_deploy.exporters.cache import cached_path, is_cached, make_cached
from stargan_deploy.exporters.difference import precision_of
from stargan_deploy.exporters.formats import PRECISIONS
from stargan_deploy.files import size_bytes
from stargan_deploy.runtimes.base import Runtime
from stargan_deploy.runtimes.choose import CHECKPOINT_SUFFIX, backends_for, open_runtime

OFFERED: dict[str, tuple[Precision, ...]] = {
    "eager": ("fp32",),
    "compile": ("fp32", "bf16", "fp16"),
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "pt2": ("fp32", "bf16", "fp16"),
    "trt": ("fp32", "fp16"),
}
"""Precisions of each backend; those of artefacts are the formats', triton's being onnx's."""

CPU_BACKENDS = ("eager", "compile", "onnx", "openvino", "pt2")
CUDA_BACKENDS = ("eager", "compile", "onnx", "pt2", "trt")

USUAL: dict[str, tuple[Precision, ...]] = {
    "cpu": ("fp32", "bf16", "int8"),
    "cuda": ("fp32", "fp16", "bf16"),
}
"""What is measured where the user names no precisions: a CPU has no FP16 arithmetic of its own
(of those in the field, only the newest servers), and INT8 is calibrated for a CPU's kernels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A backend at a precision, before anything is done."""

    backend: str
    precision: Precision

    @property
    def name(self) -> str:
        """Such as "openvino bf16"."""
        return f"{self.backend} {self.precision}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contestant:
    """A backend at a precision, opened and called once."""

    entry: Entry
    path: Path
    runtime: Runtime
    start_up: StartUp
    artefact_bytes: int

    @property
    def name(self) -> str:
        """Such as "openvino bf16"."""
        return self.entry.name

    @property
    def device_kind(self) -> str:
        """Where it really runs: "cpu" or "cuda"."""
        return self.runtime.device.partition(":")[0]

    @property
    def precision(self) -> Precision:
        """What it really computes in."""
        return precision_of(self.runtime.card.precision)


def list_entries(
    device: str, backends: Sequence[str] = (), precisions: Sequence[str] = ()
) -> tuple[list[Entry], list[Unusable]]:
    """What to measure on a device, eager FP32 first, and what of the wishes does not exist.

    Args:
        device: "cpu" or "cuda:N".
        backends: names in `OFFERED`; none takes all that compute on the device.
        precisions: none takes the `USUAL` ones.

    Raises:
        UsageError: an unknown backend or precision.
    """
    kind = device.partition(":")[0]
    native = CUDA_BACKENDS if kind == "cuda" else CPU_BACKENDS
    for name in backends:
        if name not in OFFERED:
            raise UsageError(unknown_name("backend", name, OFFERED))
    known = dict.fromkeys(p for offered in OFFERED.values() for p in offered)
    for name in precisions:
        if name not in known:
            raise UsageError(unknown_name("precision", name, known))
    wanted = precisions or USUAL.get(kind, ("fp32",))
    entries = [Entry(backend="eager", precision="fp32")]
    entries += [
        Entry(backend=backend, precision=precision)
        for precision in known
        for backend in (backends or native)
        if backend in native and precision in wanted and precision in OFFERED[backend]
    ]
    return list(dict.fromkeys(entries)), _left_out(kind, backends, wanted if precisions else ())


def make_contestant(
    entry: Entry, model: Path, *, device: str, batch_size: int, size: int
) -> Contestant:
    """Builds (or takes from the cache), opens, and calls a backend for the first time.

    Args:
        entry: backend and precision.
        model: a checkpoint, or an artefact that the entry's backend runs.
        device: "cpu" or "cuda:N".
        batch_size: images of the first call.
        size: side of its images in pixels.

    Raises:
        StarganDeployError: it is not usable here, in the words of its own.
    """
    path, build_s = _file_for(entry, model, device)
    is_checkpoint = path.suffix.lower() == CHECKPOINT_SUFFIX
    precision = entry.precision if is_checkpoint else None
    runtime = open_runtime(path, backend=entry.backend, device=device, precision=precision)
    start = time.perf_counter()
    runtime.__enter__()
    load_s = time.perf_counter() - start
    try:
        name = runtime.card.main_entry_point
        point = runtime.card.entry_point(name)
        inputs = random_inputs(point, batch_size=batch_size, height=size, width=size)
        start = time.perf_counter()
        runtime.run(inputs, entry_point=name)
    except BaseException:
        runtime.__exit__(None, None, None)
        raise
    first_call_s = time.perf_counter() - start
    return Contestant(
        entry=entry,
        path=path,
        runtime=runtime,
        start_up=StartUp(build_s=build_s, load_s=load_s, first_call_s=first_call_s),
        artefact_bytes=size_bytes(path),
    )


def own_entry(artefact: Path, precision: Precision) -> Entry:
    """The entry of an artefact that the user named."""
    return Entry(backend=backends_for(artefact)[0], precision=precision)


def _file_for(entry: Entry, model: Path, device: str) -> tuple[Path, float | None]:
    """The file that a backend runs, and how long it took to make, if it had to be made."""
    runs_as_it_is = entry.backend in backends_for(model)
    if runs_as_it_is or entry.backend not in PRECISIONS:
        return model, None
    path = cached_path(model, entry.backend, entry.precision)
    if is_cached(path):
        return path, None
    start = time.perf_counter()
    make_cached(model, entry.backend, entry.precision, device=device)
    return path, time.perf_counter() - start


def _left_out(kind: str, backends: Sequence[str], precisions: Sequence[str]) -> list[Unusable]:
    """The wishes that this device or the backends do not have."""
    native = CUDA_BACKENDS if kind == "cuda" else CPU_BACKENDS
    elsewhere = [
        Unusable(name=name, reason=f"does not compute on {kind}")
        for name in backends
        if name not in native
    ]
    missing = [
        Unusable(name=f"{backend} {precision}", reason=f"{backend} does not exist at {precision}")
        for backend in backends
        for precision in precisions
        if backend in native and backend != "eager" and precision not in OFFERED[backend]
    ]
    return elsewhere + missing


def why_unusable(entry: Entry, error: StarganDeployError) -> Unusable:
    """A line for the list of what could not be measured."""
    return Unusable(name=entry.name, reason=str(error))
