"""The candidates of a benchmark: each backend at each precision, opened, at one entry point.

Only candidates of the same entry point are compared with each other.
"""

import dataclasses
import time
from collections.abc import Sequence
from itertools import product

from stargan_deploy.backends.artefact import companion_path
from stargan_deploy.backends.base import Runtime
from stargan_deploy.backends.difference import precision_of
from stargan_deploy.backends.registry import (
    REFERENCE,
    artefact_bytes,
    runtime_names,
    runtime_spec,
)
from stargan_deploy.benchmarking.results import StartUp, Unusable
from stargan_deploy.card.card import EntryPoint, ModelCard, Precision
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.devices import Device, DeviceKind
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.inference.choose import ChosenModel, RuntimeRequest, resolve_runtime
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.translator import check_size

DEFAULT_PRECISIONS: dict[DeviceKind, tuple[Precision, ...]] = {
    "cpu": ("fp32", "bf16", "int8"),
    "cuda": ("fp32", "fp16", "bf16"),
    "mps": ("fp32",),
}
"""Precisions that are measured unless others are requested. Few CPUs have FP16 arithmetic of their
own, and INT8 is calibrated for a CPU's kernels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A backend at a precision, not yet opened."""

    backend: str
    precision: Precision

    @property
    def name(self) -> str:
        """Backend and precision, like "openvino bf16"."""
        return f"{self.backend} {self.precision}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A backend at a precision, opened."""

    entry: Entry
    model: ChosenModel
    runtime: Runtime
    load_s: float
    """Seconds that opening took."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate(Opened):
    """A backend at a precision whose entry point was called once."""

    name: str
    """Unique name: "openvino bf16", or "openvino bf16 b2a" where there are several entry points."""
    entry_point: str
    """Name of the entry point in the card."""
    start_up: StartUp
    artefact_bytes: int

    @property
    def point(self) -> EntryPoint:
        """The entry point."""
        return self.runtime.card.entry_point(self.entry_point)

    @property
    def precision(self) -> Precision:
        """The precision that it really computes in."""
        return precision_of(self.runtime.card.precision)


def list_entries(
    device: Device, backends: Sequence[str] = (), precisions: Sequence[str] = ()
) -> tuple[list[Entry], list[Unusable]]:
    """Lists what to measure on a device, eager FP32 first, and requests that cannot be met.

    Args:
        device: where to measure.
        backends: names of backends; empty takes all that compute on the device.
        precisions: names of precisions; empty takes the `DEFAULT_PRECISIONS`.

    Raises:
        UsageError: an unknown backend or precision.
    """
    specs = {name: runtime_spec(name) for name in (*runtime_names(), *backends)}
    known = dict.fromkeys(p for spec in specs.values() for p in spec.precisions)
    for name in precisions:
        if name not in known:
            raise UsageError(unknown_name("precision", name, known))
    usable = [name for name, spec in specs.items() if device.kind in spec.devices]
    unusable = [
        Unusable(name=name, reason=f"does not compute on {device.kind}")
        for name in backends
        if name not in usable
    ]
    entries = {Entry(backend=REFERENCE, precision="fp32"): None}
    wanted = precisions or DEFAULT_PRECISIONS[device.kind]
    chosen = [name for name in backends or usable if name in usable]
    for precision, backend in product((p for p in known if p in wanted), chosen):
        entry = Entry(backend=backend, precision=precision)
        if precision in specs[backend].precisions:
            entries[entry] = None
        elif backends and precisions and backend != REFERENCE:
            reason = f"{backend} does not exist at {precision}"
            unusable.append(Unusable(name=entry.name, reason=reason))
    return list(entries), unusable


def choose_points(card: ModelCard, requested: Sequence[str] = ()) -> tuple[str, ...]:
    """Chooses the entry points to measure.

    Args:
        card: the model's card.
        requested: names of entry points that make images, or of any where none makes some; empty
            takes all, those that take dropout masks only if there are no others, as in an export.

    Raises:
        UsageError: an entry point that the model does not have, or that makes no images.
    """
    points = sorted(card.entry_points.items())
    making = [name for name, point in points if point.makes_images]
    known = making or [name for name, _ in points]
    kind = "image-making entry" if making else "entry"
    for name in requested:
        if name not in known:
            raise UsageError(unknown_name(f"{kind} point", name, known, where="this model"))
    usual = [name for name in known if not card.entry_points[name].is_stochastic]
    return tuple(dict.fromkeys(requested or usual or known))


def choose_sizes(
    card: ModelCard, points: Sequence[str], requested: Sequence[int] = ()
) -> tuple[int, ...]:
    """Chooses the sides of images to measure, in pixels.

    Args:
        card: the model's card.
        points: the entry points that are measured.
        requested: the sides; empty takes the only possible one, or that of training.

    Raises:
        UsageError: a side that one of the entry points does not take, or does not make.
    """
    for point, size in product(points, requested):
        check_size(card, size, point)
    usual = [dim for point in points for size in card.entry_point(point).sizes for dim in size]
    only = next((dim.least for dim in usual if not dim.is_free), card.preprocessing.image_size)
    return tuple(requested) or (only,)


def open_entry(entry: Entry, model: ModelFile, device: Device) -> Opened:
    """Exports a model (or takes it from the cache) and opens it; the caller closes its runtime.

    Args:
        entry: backend and precision.
        model: a checkpoint, or an artefact that the entry's backend runs.
        device: where to run it.

    Raises:
        StarganDeployError: it is not usable here.
    """
    precision = entry.precision if model.is_checkpoint else None
    request = RuntimeRequest(backend=entry.backend, device=device, precision=precision)
    chosen = resolve_runtime(model, request)
    runtime = chosen.open()
    start = time.perf_counter()
    runtime.__enter__()
    load_s = time.perf_counter() - start
    return Opened(entry=entry, model=chosen, runtime=runtime, load_s=load_s)


def make_candidate(
    name: str, opened: Opened, entry_point: str, *, batch_size: int, size: int
) -> Candidate:
    """Calls an entry point for the first time.

    Args:
        name: distinguishes the candidate from all others.
        opened: the backend.
        entry_point: a name in the card.
        batch_size: images of the call.
        size: side of its images in pixels.

    Raises:
        StarganDeployError: it does not have the entry point, or fails.
    """
    runtime, model = opened.runtime, opened.model
    point = runtime.card.entry_point(entry_point)
    inputs = draw_inputs(point, range(batch_size), sizes={"H": size, "W": size})
    start = time.perf_counter()
    runtime.run(inputs, entry_point=entry_point)
    first_call_s = time.perf_counter() - start
    file = model.path if model.is_checkpoint else companion_path(model.path, point, model.card)
    return Candidate(
        name=name,
        entry=opened.entry,
        model=model,
        runtime=runtime,
        load_s=opened.load_s,
        entry_point=entry_point,
        start_up=StartUp(build_s=model.build_s, load_s=opened.load_s, first_call_s=first_call_s),
        # The main file may have been renamed since it was written.
        artefact_bytes=artefact_bytes(file if file.exists() else model.path),
    )
