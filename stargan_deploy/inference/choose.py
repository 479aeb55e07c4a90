"""Chooses what to run a model with: the one meaning of `auto`.

An artefact runs with its own backend, if it was proven there. A checkpoint runs with the fastest
backend that is proven equal to PyTorch on this machine, as a short measurement on the spot shows,
and is exported first where there are enough images for that to pay. Reasons are logged.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stargan_deploy.backends import registry
from stargan_deploy.backends.base import OpenOptions, Providers, Runtime, Threads
from stargan_deploy.backends.difference import precision_of
from stargan_deploy.backends.registry import (
    AUTO,
    REFERENCE,
    check_fits,
    check_proven,
    choose_precision,
    open_runtime,
    runtime_names,
)
from stargan_deploy.card.card import Precision
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.devices import Device, choose_device
from stargan_deploy.errors import BackendError, ExportError, UsageError, unknown_name
from stargan_deploy.inference.fastest import in_one_line, proven_here
from stargan_deploy.inference.find import ModelFile, exports_of, read_model
from stargan_deploy.inference.speed import Conditions, compare_speed, payload_of

WORTH_EXPORTING = 256
"""Images from which on `auto` exports a checkpoint that has no artefact yet: an export of the
full-size model takes about 20 s and saves about 40 ms per image."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EarlierRuntime:
    """The runtime of the run that is being resumed."""

    backend: str
    payload_sha256: str
    threads: int | None = None
    """Threads that each call was pinned to; None where they were free, or did not matter."""


@dataclass(frozen=True, kw_only=True)
class RuntimeRequest:
    """How a model is to be run; what is left out is chosen."""

    backend: str = AUTO
    """Backend that runs the model, or auto for the fastest that is proven here. A checkpoint is
    exported to the cache first where the backend needs it."""
    device: Device | None = None
    """Device to compute on: cpu, cuda, cuda:N or mps; None takes a GPU if usable, else cpu."""
    precision: Precision | None = None
    """Compute precision of the checkpoint, or of its export; None takes the backend's default."""
    weights: Literal["ema", "raw"] | None = None
    """Moving average or last weights of a checkpoint; None takes ema if there are any."""
    batch_size: int | None = None
    """Fixed size of every call; None runs inputs as they are."""
    earlier: EarlierRuntime | None = None
    """Preferred by "auto" where it is still there."""
    size: int | None = None
    """Side of the images in pixels, which an automatic choice must take; None: that of training."""
    dry_run: bool = False
    """Whether nothing may be written: the chosen file may then not exist yet."""


@dataclass(frozen=True, kw_only=True)
class ChosenModel(ModelFile):
    """A model with everything that decides how it runs; plain values, to be sent to any process.

    Its card is the checkpoint's where `path` is an export that a dry run did not make.
    """

    backend: str
    device: Device | None = None
    """None leaves it to the backend."""
    precision: Precision = "fp32"
    weights: Literal["ema", "raw"] | None = None
    batch_size: int | None = None
    threads: Threads | None = None
    """Threads of each call on a CPU; see `OpenOptions`."""
    build_s: float | None = None
    """Seconds that exporting took; None where nothing was exported."""

    def open(
        self,
        *,
        session: Any = None,
        session_options: Any = None,
        providers: Providers | None = None,
    ) -> Runtime:
        """The runtime, to be entered by the caller.

        Args, as `open_runtime`: settings of onnxruntime, which are only valid in this process.

        Raises:
            UsageError, ModelError, BackendError: as `open_runtime`.
        """
        return open_runtime(
            self.path,
            backend=self.backend,
            device=str(self.device) if self.device else None,
            batch_size=self.batch_size,
            weights=self.weights,
            precision=self.precision if self.is_checkpoint else None,
            threads=self.threads,
            session=session,
            session_options=session_options,
            providers=providers,
        )


def resolve_runtime(
    model: ModelFile, request: RuntimeRequest | None = None, *, num_images: int = 0
) -> ChosenModel:
    """Choose the file, backend and precision to run a model with; logs which, and why.

    A checkpoint is exported first where the backend needs it, once for all later runs.

    Args:
        model: a checkpoint or an artefact.
        request: how to run it; None leaves all to `auto`.
        num_images: how many images will be made, which decides whether an export pays.

    Raises:
        UsageError: a backend or precision that does not go with the file.
        ModelError: an artefact that was not proven on its backend, which was not asked for.
        ExportError, BackendError: the backend that was asked for cannot be used.
        OutputError: the cache cannot be written.
    """
    request = request or RuntimeRequest()
    if request.backend not in (AUTO, *runtime_names()):
        raise UsageError(unknown_name("backend", request.backend, (AUTO, *runtime_names())))
    if not model.is_checkpoint:
        return _artefact(model, request)
    if request.backend == AUTO:
        if request.precision is not None:
            raise UsageError("`precision` goes with a `backend`; auto chooses both")
        return _earlier(model, request) or _fastest(model, request, num_images)
    if request.backend in model.backends:
        return _chosen(model, request, request.backend)
    return _exported(model, request, request.backend, request.precision)


def _artefact(model: ModelFile, request: RuntimeRequest) -> ChosenModel:
    """An artefact as it is, which has a precision and weights of its own."""
    options = OpenOptions(weights=request.weights, precision=request.precision)
    check_fits(model.path, model.card, options)
    if request.backend != AUTO:
        return _chosen(model, request, request.backend)
    check_proven(model.path, model.card, model.backends[0])
    return _chosen(model, request, model.backends[0])


def _chosen(
    model: ModelFile, request: RuntimeRequest, backend: str, *, build_s: float | None = None
) -> ChosenModel:
    own = request.precision or "fp32"
    return ChosenModel(
        path=model.path,
        card=model.card,
        backend=backend,
        device=request.device,
        precision=own if model.is_checkpoint else precision_of(model.card.precision),
        weights=request.weights,
        batch_size=request.batch_size,
        build_s=build_s,
    )


def _exported(
    model: ModelFile, request: RuntimeRequest, backend: str, precision: Precision | None
) -> ChosenModel:
    """The checkpoint's export for a backend, from the cache, made first where it is not there."""
    from stargan_deploy.export.cache import cached_path, is_cached, make_cached

    path = cached_path(model.path, backend, precision, weights=request.weights)
    was_there, start_s = is_cached(path), time.perf_counter()
    if was_there:
        _log.info("using the export of %s in %s", model.path.name, path)
    else:
        name = path.parent.name
        _log.info("exporting %s to %s first, to be kept in %s", model.path.name, name, path)
        if request.dry_run:
            planned = _chosen(model, request, backend)
            own = choose_precision(backend, precision)
            return dataclasses.replace(planned, path=path, precision=own)
    device = str(request.device) if request.device else None
    made = make_cached(model.path, backend, precision, weights=request.weights, device=device)
    build_s = None if was_there else time.perf_counter() - start_s
    return _chosen(read_model(made), request, backend, build_s=build_s)


def _fastest(model: ModelFile, request: RuntimeRequest, num_images: int) -> ChosenModel:
    """The fastest proven way; makes an artefact first where that pays."""
    device = request.device or choose_device()
    device.check_usable()
    good, refusals = proven_here(_present(model, request), device=device, size=request.size)
    if refusals:
        _log.info("auto: not %s", in_one_line(refusals))
    ways = {_name(way): way for way in (_chosen(a, request, a.backends[0]) for a in good)}
    chosen, reason = _compared(model, ways, request, device)
    build_s = None
    if chosen.is_checkpoint and num_images >= WORTH_EXPORTING and not request.dry_run:
        start_s = time.perf_counter()
        made = _make_recommended(model, request, device)
        proven, _ = proven_here(made, device=device, size=request.size)
        build_s = time.perf_counter() - start_s
        new = {_name(way): way for way in (_chosen(a, request, a.backends[0]) for a in proven)}
        if new.keys() - ways.keys():
            chosen, reason = _compared(model, ways | new, request, device)
    _log.info("auto: %s (%s)", chosen.backend, reason)
    return dataclasses.replace(chosen, build_s=build_s)


def _name(way: ChosenModel) -> str:
    """Backend, precision and payload of a way to run a model, which no other way has."""
    return f"{way.backend} {way.precision} {payload_of(way.card)}"


def _compared(
    model: ModelFile, artefacts: Mapping[str, ChosenModel], request: RuntimeRequest, device: Device
) -> tuple[ChosenModel, str]:
    """The fastest of a checkpoint in eager FP32 and its artefacts, and the reason."""
    eager = _chosen(model, request, REFERENCE)
    if not artefacts:
        return eager, "nothing faster is proven"
    ways = {_name(eager): eager, **artefacts}
    conditions = Conditions(
        device=device,
        batch=request.batch_size or ROWS_PER_CALL,
        size=request.size or model.card.preprocessing.image_size,
    )
    # Calls may be smaller, to keep the measurement short.
    candidates = {
        name: dataclasses.replace(way, batch_size=None).open for name, way in ways.items()
    }
    speeds = compare_speed(candidates, conditions, keep=not request.dry_run)
    best = speeds.ranking()[0]
    if ways[best] is eager or not speeds.is_faster(best, _name(eager)):
        return eager, f"nothing proven here is faster at batch {speeds.batch}"
    conv = ways[best].card.precision.get("conv", "float32")
    return ways[best], f"{conv}, {speeds.describe(best, _name(eager))} as fast as eager"


def _make_recommended(
    model: ModelFile, request: RuntimeRequest, device: Device
) -> Iterator[ModelFile]:
    """Exports to the first recommended format that works; none where no format does."""
    from stargan_deploy.export.cache import make_cached

    for format, precision in registry.recommended(device.kind):
        what = f"{format} {precision}"
        _log.info("auto: exporting %s to %s, once for all later runs ...", model.path.name, what)
        try:
            path = make_cached(
                model.path, format, precision, weights=request.weights, device=str(device)
            )
        except (ExportError, BackendError) as error:
            _log.info("auto: not %s: %s", what, error)
        else:
            yield read_model(path)
            return


def _earlier(model: ModelFile, request: RuntimeRequest) -> ChosenModel | None:
    """The runtime of an earlier run, if its file still exists."""
    if request.earlier is None:
        return None
    backend, sha256 = request.earlier.backend, request.earlier.payload_sha256
    for found in (model, *_present(model, request)):
        points = found.card.entry_points.values()
        if backend in found.backends and sha256 in (point.payload_sha256 for point in points):
            _log.info("auto: %s, same as the run being resumed", backend)
            return _chosen(found, request, backend)
    return None


def _present(model: ModelFile, request: RuntimeRequest) -> Iterator[ModelFile]:
    """The checkpoint's artefacts in the cache and in ./exports."""
    from stargan_deploy.export.cache import cached_artefacts
    from stargan_deploy.export.plan import checkpoint_sha256

    yield from map(read_model, cached_artefacts(model.path, weights=request.weights))
    yield from exports_of(checkpoint_sha256(model.path), request.weights or model.card.weights)
