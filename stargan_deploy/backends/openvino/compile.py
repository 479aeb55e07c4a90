"""Compiles OpenVINO graphs for the CPU, in a precision that is set and read back, and runs them.

OpenVINO itself is imported here alone, when it is needed, and without its telemetry.
"""

import collections
import contextlib
import dataclasses
import functools
import importlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Arrays, padded
from stargan_deploy.backends.exporter import types_by_kind
from stargan_deploy.backends.openvino.file import IntermediateRepresentation
from stargan_deploy.backends.openvino.spec import SPEC
from stargan_deploy.errors import BackendError, ModelError, brief

Mode = Literal["latency", "throughput"]
"""One request that has all cores, or several that share them."""

Hint = Literal["f32", "bf16"]
"""Precision of the layers that are not quantised."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streams:
    """Requests that run at the same time, each with a fixed number of threads."""

    num_requests: int
    threads: int
    """Threads of each request."""

    @property
    def properties(self) -> dict[str, Any]:
        """OpenVINO's settings; its threads stay free to move between processors.

        Bound to processors, as by default, those of several processes would share the first ones.
        """
        return {
            "NUM_STREAMS": self.num_requests,
            "INFERENCE_NUM_THREADS": self.num_requests * self.threads,
            "ENABLE_CPU_PINNING": False,
        }


TRANSPOSED = "Deconvolution"
"""Type of transposed convolutions in the graph that the CPU runs.

With the hint bf16, OpenVINO 2026.4 leaves those after the last plain convolution in f32.
"""

LAYER_KINDS = {
    "Convolution": "conv",
    TRANSPOSED: "conv",
    "MVN": "norm",
    "FullyConnected": "linear",
    "MatMul": "linear",
}
"""Kind of layer by its type in the graph that the CPU runs."""

PRECISION_NAMES = {
    "f32": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "i8": "int8",
    "u8": "int8",
}

_TELEMETRY = "openvino_telemetry"


def load_library(name: Literal["openvino", "nncf"] = "openvino") -> Any:
    """Imports OpenVINO or its quantiser, without their telemetry and log lines.

    Raises:
        BackendError: it is not installed, or cannot be loaded.
    """
    try:
        with contextlib.nullcontext() if name in sys.modules else _without_telemetry():
            return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(f"cannot use {name}: {brief(error)}", hint=SPEC.install) from error


def openvino_core() -> Any:
    """OpenVINO's core, one for the whole process, with its CPU plugin loaded.

    The plugin gives the thread that loads it another stack for its signals, and takes the memory
    back when its core goes, in some orders with the stack still set: the next signal that Python
    handles, Ctrl-C or the end of a child, would end the process with a segmentation fault and
    without a word. So the core stays.

    Raises:
        BackendError: OpenVINO is not installed, or cannot be loaded.
    """
    return _core_of(load_library())


@functools.cache
def _core_of(library: Any) -> Any:
    core = library.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    return core


def load_model(graph: IntermediateRepresentation, path: Path) -> Any:
    """Makes an `openvino.Model` of the very bytes that were hashed.

    Raises:
        ModelError: OpenVINO does not understand them.
    """
    try:
        # Bytes are copied; a tensor over them would be used after they are gone.
        return openvino_core().read_model(graph.xml, graph.weights)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot load {path}: {reason(error)}") from error


def compile_model(
    model: Any, hint: Hint, *, mode: Mode = "latency", streams: Streams | None = None
) -> Any:
    """Compiles an `openvino.Model` for this CPU with a precision that is set and read back.

    Args:
        model: the graph.
        hint: the precision.
        mode: how requests share the processors, where `streams` does not say it.
        streams: how many requests of how many threads.

    Raises:
        BackendError: this CPU does not compute in that precision, has too few processors for the
            streams, or cannot run this graph.
    """
    core = openvino_core()
    # Some CPUs imitate bf16 slowly without listing it.
    if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise BackendError(
            f"this CPU ({core.get_property('CPU', 'FULL_DEVICE_NAME')}) has no bf16 arithmetic",
            hint="run the artefact on one with AVX512_BF16 or AMX, or export with `precision` fp32 "
            "or int8",
        )
    sharing = streams.properties if streams else {"PERFORMANCE_HINT": mode.upper()}
    properties = {"INFERENCE_PRECISION_HINT": hint, **sharing}
    try:
        compiled = core.compile_model(model, "CPU", properties)
    except RuntimeError as error:
        raise BackendError(
            f"OpenVINO cannot compile this graph: {reason(error)}",
            hint="try another `precision`, or `format` onnx",
        ) from error
    taken = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if taken != hint:
        raise BackendError(f"OpenVINO computes in {taken} here, although {hint} was set")
    found = compiled.get_property("INFERENCE_NUM_THREADS")
    if streams and found != streams.num_requests * streams.threads:
        raise BackendError(  # it takes fewer without a word
            f"OpenVINO computes with {found} threads here, although "
            f"{streams.num_requests * streams.threads} were set",
            hint="run it where as many processors may be used",
        )
    return compiled


def hint_for(precision: Mapping[str, str]) -> Hint:
    """OpenVINO's settings for a card's measured precision, for example {"conv": "bfloat16"}."""
    return "bf16" if any("bfloat16" in names for names in precision.values()) else "f32"


def layer_types(compiled: Any) -> list[tuple[str, str]]:
    """Each layer of a compiled graph whose kind is in `LAYER_KINDS`, with what it computes in."""
    infos = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ordered_ops()]
    pairs = [(i["layerType"].astype(str), i["runtimePrecision"].astype(str).lower()) for i in infos]
    return [(kind, PRECISION_NAMES.get(n, n)) for kind, n in pairs if kind in LAYER_KINDS]


def layer_precision(compiled: Any) -> dict[str, str]:
    """The precisions that a compiled graph really computes in, by kind of layer."""
    return types_by_kind((LAYER_KINDS[layer], (name,)) for layer, name in layer_types(compiled))


def infer_each(
    requests: Sequence[Any], inputs: Arrays, names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Runs each row of a batch as a request of its own, as many at a time as there are requests.

    Requests are waited for in turn. `AsyncInferQueue` would call back into Python from threads of
    its own, which an interpreter that ends may cut off in the middle.

    Args:
        requests: infer requests of one compiled graph that takes one row, not used elsewhere
            meanwhile.
        inputs: by name, batch first.
        names: of the outputs wanted.

    Raises:
        RuntimeError: OpenVINO failed; no request is running any more.
    """
    running: collections.deque[Any] = collections.deque()
    found: list[dict[str, npt.NDArray[Any]]] = []

    def wait_for_oldest() -> None:
        request = running.popleft()
        request.wait()
        found.append({name: request.get_tensor(name).data.copy() for name in names})

    try:
        for row in range(len(next(iter(inputs.values())))):
            if len(running) == len(requests):
                wait_for_oldest()
            request = requests[row % len(requests)]
            request.start_async(
                {name: array[row : row + 1] for name, array in inputs.items()}, share_inputs=True
            )
            running.append(request)
        while running:
            wait_for_oldest()
    finally:
        for request in running:
            with contextlib.suppress(RuntimeError):
                request.wait()
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in names}


def infer(
    requests: Sequence[Any], inputs: Arrays, names: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Runs a batch, in shares of one size at the same time where there are several requests.

    Args:
        requests: infer requests of one compiled graph, not used elsewhere meanwhile.
        inputs: by name, batch first.
        names: of the outputs wanted.

    Raises:
        RuntimeError: OpenVINO failed; no request is running any more.
    """
    num_rows = len(next(iter(inputs.values())))
    size = share_size(num_rows, len(requests))
    started = list(zip(requests, range(0, num_rows, size), strict=False))
    with contextlib.ExitStack() as running:  # none is left running when one of them fails
        for request, start in started:
            rows = {name: padded(a[start : start + size], size) for name, a in inputs.items()}
            request.start_async(rows, share_inputs=True)
            running.callback(request.wait)
    outputs = {name: [request.get_tensor(name).data for request, _ in started] for name in names}
    return {name: np.concatenate(shares)[:num_rows] for name, shares in outputs.items()}


def share_size(num_rows: int, num_requests: int) -> int:
    """Rows that each request gets."""
    return -(-num_rows // num_requests)


def reason(error: BaseException) -> str:
    """The last part of an OpenVINO error, after the places in its own source."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return brief(RuntimeError(lines[-1])) if lines else brief(error)


@contextlib.contextmanager
def _without_telemetry() -> Iterator[None]:
    """Makes the import of the telemetry fail, for which OpenVINO and NNCF provide.

    It would report the import and each conversion over the network, and leave an identifier in
    the user's home folder. NNCF also replaces the class of all loggers made later.
    """
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    telemetry, known = modules.get(_TELEMETRY), _TELEMETRY in modules
    logger_class, disabled = logging.getLoggerClass(), logging.root.manager.disable
    modules[_TELEMETRY] = None
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        logging.setLoggerClass(logger_class)
        del modules[_TELEMETRY]
        if known:
            modules[_TELEMETRY] = telemetry
