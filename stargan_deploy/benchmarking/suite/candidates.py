"""What a benchmark compares: each backend at each precision, opened, doing one entry point.

Only contestants of the same entry point are compared with each other.
"""

import dataclasses
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from stargan_deploy.backends.artefact import companion_path
from stargan_deploy.backends.base import Runtime
from stargan_deploy.backends.difference import precision_of
from stargan_deploy.backends.registry import (
    REFERENCE,
    artefact_bytes,
    backends_for,
    runtime_names,
    runtime_spec,
)
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.benchmarking.results import StartUp, Unusable
from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.devices import parse_device
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.inference.choose import RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import read_model
from stargan_deploy.inference.translator import check_size

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
class Opened:
    """A backend at a precision, opened."""

    entry: Entry
    path: Path
    runtime: Runtime
    build_s: float | None
    """As in `StartUp`, like `load_s`."""
    load_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contestant:
    """A backend at a precision that was called once for an entry point."""

    name: str
    """Tells it from all others: "openvino bf16", or "openvino bf16 b2a"."""
    entry: Entry
    entry_point: str
    """What it does, as the card names it."""
    path: Path
    runtime: Runtime
    """The same for all entry points."""
    start_up: StartUp
    artefact_bytes: int

    @property
    def device_kind(self) -> str:
        """Where it really runs: "cpu" or "cuda"."""
        return self.runtime.device.kind

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
        backends: names of backends; none takes all that compute on the device.
        precisions: none takes the `USUAL` ones.

    Raises:
        UsageError: an unknown backend or precision.
    """
    kind, native = parse_device(device).kind, _native(device)
    offered = {name: runtime_spec(name).precisions for name in runtime_names()}
    for name in backends:
        runtime_spec(name)
    known = dict.fromkeys(p for precisions in offered.values() for p in precisions)
    for name in precisions:
        if name not in known:
            raise UsageError(unknown_name("precision", name, known))
    wanted = precisions or USUAL.get(kind, ("fp32",))
    entries = [Entry(backend=REFERENCE, precision="fp32")]
    entries += [
        Entry(backend=backend, precision=precision)
        for precision in known
        for backend in (backends or native)
        if backend in native and precision in wanted and precision in offered[backend]
    ]
    return list(dict.fromkeys(entries)), _left_out(device, backends, wanted if precisions else ())


def choose_points(card: ModelCard, wishes: Sequence[str] = ()) -> tuple[str, ...]:
    """The entry points to measure.

    Args:
        card: of the model.
        wishes: names of entry points that make pictures; none takes all, those that want dropout's
            masks only where there are no others, as it is in an export.

    Raises:
        UsageError: an entry point that the model does not have, or that makes no pictures.
    """
    points = sorted(card.entry_points.items())
    known = [name for name, point in points if point.makes_images]
    for name in wishes:
        if name not in known:
            raise UsageError(
                unknown_name("picture-making entry point", name, known, where="this model")
            )
    usual = [name for name in known if not card.entry_points[name].is_stochastic]
    return tuple(dict.fromkeys(wishes or usual or known))


def choose_sizes(
    card: ModelCard, points: Sequence[str], wishes: Sequence[int] = ()
) -> tuple[int, ...]:
    """The sides of images to measure, in pixels.

    Args:
        card: of the model.
        points: the entry points that are measured.
        wishes: the sides; none takes the only one there is, or that of training.

    Raises:
        UsageError: a side that one of the entry points does not take, or does not make.
    """
    for point, size in product(points, wishes):
        check_size(card, size, point)
    usual = [dim for point in points for size in card.entry_point(point).sizes for dim in size]
    only = next((dim.least for dim in usual if not dim.is_free), card.preprocessing.image_size)
    return tuple(wishes) or (only,)


def open_entry(entry: Entry, model: Path, *, device: str) -> Opened:
    """Builds (or takes from the cache) and opens a backend; its runtime is to be closed.

    Args:
        entry: backend and precision.
        model: a checkpoint, or an artefact that the entry's backend runs.
        device: "cpu" or "cuda:N".

    Raises:
        StarganDeployError: it is not usable here, in the words of its own.
    """
    found = read_model(model)
    request = RuntimeRequest(
        backend=entry.backend,
        device=parse_device(device),
        precision=entry.precision if found.is_checkpoint else None,
    )
    chosen = resolve_runtime(found, request)
    runtime = chosen.open()
    start = time.perf_counter()
    runtime.__enter__()
    load_s = time.perf_counter() - start
    return Opened(
        entry=entry, path=chosen.path, runtime=runtime, build_s=chosen.build_s, load_s=load_s
    )


def make_contestant(
    name: str, opened: Opened, entry_point: str, *, batch_size: int, size: int
) -> Contestant:
    """Calls an entry point for the first time.

    Args:
        name: tells the contestant from all others.
        opened: the backend.
        entry_point: a name in the card.
        batch_size: images of the call.
        size: side of its images in pixels.

    Raises:
        StarganDeployError: it does not have the entry point, or fails.
    """
    runtime, path = opened.runtime, opened.path
    point = runtime.card.entry_point(entry_point)
    inputs = draw_inputs(point, range(batch_size), sizes={"H": size, "W": size})
    start = time.perf_counter()
    runtime.run(inputs, entry_point=entry_point)
    first_call_s = time.perf_counter() - start
    file = path if _is_checkpoint(path) else companion_path(path, point)
    return Contestant(
        name=name,
        entry=opened.entry,
        entry_point=entry_point,
        path=path,
        runtime=runtime,
        start_up=StartUp(build_s=opened.build_s, load_s=opened.load_s, first_call_s=first_call_s),
        artefact_bytes=artefact_bytes(
            file if file.exists() else path
        ),  # the given one may be renamed
    )


def own_entry(artefact: Path, precision: Precision) -> Entry:
    """The entry of an artefact that the user named."""
    return Entry(backend=backends_for(artefact)[0], precision=precision)


def _native(device: str) -> tuple[str, ...]:
    """The backends that compute on a device."""
    kind = parse_device(device).kind
    return tuple(name for name in runtime_names() if kind in runtime_spec(name).devices)


def _left_out(device: str, backends: Sequence[str], precisions: Sequence[str]) -> list[Unusable]:
    """The wishes that this device or the backends do not have."""
    kind, native = parse_device(device).kind, _native(device)
    elsewhere = [
        Unusable(name=name, reason=f"does not compute on {kind}")
        for name in backends
        if name not in native
    ]
    missing = [
        Unusable(name=f"{backend} {precision}", reason=f"{backend} does not exist at {precision}")
        for backend in backends
        for precision in precisions
        if backend in native
        and backend != REFERENCE
        and precision not in runtime_spec(backend).precisions
    ]
    return elsewhere + missing


def _is_checkpoint(path: Path) -> bool:
    return path.suffix.lower() == CHECKPOINT_SUFFIX
