"""Runs OpenVINO artefacts on the CPU: a batch at a time, or spread over parallel requests.

OpenVINO computes in bf16 by itself where the CPU can; here the precision is always set to what the
card measured, and read back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.artefact import OUT_OF_MEMORY, ArtefactRuntime, Payload
from stargan_deploy.backends.base import Arrays, OpenOptions, SelfTest
from stargan_deploy.backends.openvino import file as ir
from stargan_deploy.backends.openvino.compile import (
    PRECISION_NAMES,
    Hint,
    Mode,
    Streams,
    compile_model,
    hint_for,
    infer,
    infer_each,
    layer_precision,
    load_library,
    load_model,
    openvino_core,
    reason,
    share_size,
)
from stargan_deploy.backends.openvino.spec import SPEC
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import ROWS_PER_CALL
from stargan_deploy.devices import CPU, Device
from stargan_deploy.errors import BackendError, CardError

_Shapes = tuple[tuple[str, tuple[int, ...]], ...]

REINSTALL = f"reinstall it: {SPEC.install}"

_TYPES = {"float32": "f32", "uint8": "u8", "int64": "i64"}
"""OpenVINO's names of a card's types."""

PINNED_THREADS = 1
"""Threads of a request where results must not depend on the machine.

OpenVINO divides the sums of instance norm among threads, in another way where there are more of
them than images, which moves values by as much as 7 levels of 255 in INT8. It never takes more
threads than it finds processors, so that one is the only number that every machine has.
"""

KEPT_SHAPES = 4
"""Shapes of inputs that a graph is kept compiled for; each takes the memory of the weights."""


class OpenVinoRuntime(ArtefactRuntime["_Engine"]):
    """An OpenVINO IR on the CPU.

    Args:
        path: an exported `.xml` file; only its card is read until entered.
        options: its device is "cpu" or None. With `threads`, every row is a request of its own with
            this number of threads, and as many run at a time as there are processors for, so that
            a row's result depends neither on the batch nor on the machine's processors; "pinned"
            is 1.
        mode: "latency" gives all cores to one request. "throughput" opens as many requests as
            OpenVINO advises for this CPU, and spreads each batch over them in equal shares.

    Raises:
        ModelError: not an exported IR; on entry or first use: a changed, missing or unloadable
            file.
        BackendError: on entry, OpenVINO is not installed, or the CPU cannot compute in the
            artefact's precision.
    """

    backend = SPEC.name

    def __init__(
        self, path: Path, options: OpenOptions | None = None, *, mode: Mode = "latency"
    ) -> None:
        super().__init__(path, options)
        self._mode: Mode = mode

    @property
    def pinned_threads(self) -> int | None:
        """Threads of each request, where they were pinned."""
        threads = self._options.threads
        return PINNED_THREADS if threads == "pinned" else threads

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card in an IR's XML file."""
        return ir.read_card(path)

    @classmethod
    def self_test(cls) -> SelfTest:
        """Compiles and runs one convolution in every precision that the CPU computes in."""
        openvino = load_library()
        if not _computes_in("f32"):
            raise BackendError("OpenVINO computes wrong numbers on this CPU", hint=REINSTALL)
        usable = ["f32", *(name for name in ("bf16", "int8") if _is_usable(name))]
        version = openvino.get_version().partition("-")[0]
        cpu = openvino_core().get_property("CPU", "FULL_DEVICE_NAME")
        return SelfTest(text=f"{version} on {cpu}: {', '.join(usable)}")

    def _pick_device(self, wanted: Device | None) -> Device:
        if wanted not in (None, CPU):
            raise BackendError(
                f"the openvino backend computes on the CPU, not on {wanted}",
                hint="use `device` cpu",
            )
        return CPU

    def _read_payload(self, path: Path) -> Payload:
        graph = ir.read_representation(path)
        return Payload(sha256=graph.sha256, content=graph)

    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> "_Engine":
        model = load_model(payload.content, path)
        _check_interface(point, model, path)
        hint = hint_for(self.card.precision)
        if self.pinned_threads is None:
            return _Engine(model, hint, self._mode)
        return _PinnedEngine(model, hint, self.pinned_threads, self.batch_size or ROWS_PER_CALL)

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        names = [spec.name for spec in self.card.entry_point(entry_point).outputs]
        try:
            return self._engine(entry_point).infer(inputs, names)
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO failed on {entry_point!r}: {reason(error)}", hint=OUT_OF_MEMORY
            ) from error


class _Engine:
    """A graph that is compiled for each shape of inputs when it first comes, since that is faster.

    Compared with the same graph compiled for any shape, the full-size generator in INT8 took 2 to
    4 % less time on two idle cores, and 10 to 20 % less on busy ones, where every wait costs.
    """

    def __init__(self, model: Any, hint: Hint, mode: Mode) -> None:
        self._model, self._hint, self._mode = model, hint, mode
        # It refuses at once what cannot run here.
        self._compiled = compile_model(model, hint, mode=mode)
        self._num_requests = 1
        if mode == "throughput":
            self._num_requests = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._kept: dict[_Shapes, Any] = {}

    def infer(self, inputs: Arrays, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Runs a batch; see `compile.infer`."""
        num_rows = len(next(iter(inputs.values())))
        size = share_size(num_rows, self._num_requests)
        shapes = tuple((name, (size, *array.shape[1:])) for name, array in inputs.items())
        return infer(self._prepared(shapes), inputs, names)

    def _prepared(self, shapes: _Shapes) -> Any:
        """What `_prepare` makes for inputs of these shapes, made when they first come."""
        if shapes not in self._kept:
            if len(self._kept) == KEPT_SHAPES:
                del self._kept[next(iter(self._kept))]  # the oldest
            self._kept[shapes] = self._prepare(shapes)
        return self._kept[shapes]

    def _prepare(self, shapes: _Shapes) -> Any:
        compiled = compile_model(self._shaped(shapes), self._hint, mode=self._mode)
        return [compiled.create_infer_request() for _ in range(self._num_requests)]

    def _shaped(self, shapes: _Shapes) -> Any:
        shaped = self._model.clone()
        shaped.reshape({name: list(shape) for name, shape in shapes})
        return shaped


class _PinnedEngine(_Engine):
    """A graph whose rows are computed one by one, each with the same number of threads.

    Side by side on all processors that is as fast as whole batches: the full-size generator and a
    small one took 0 to 8 % less processor time at one thread than at two.
    """

    def __init__(self, model: Any, hint: Hint, threads: int, most_requests: int) -> None:
        super().__init__(model, hint, "latency")
        num_processors = self._compiled.get_property("INFERENCE_NUM_THREADS")
        self._streams = Streams(
            num_requests=max(1, min(num_processors // threads, most_requests)), threads=threads
        )

    def infer(self, inputs: Arrays, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Runs each row of a batch; see `compile.infer_each`."""
        shapes = tuple((name, (1, *array.shape[1:])) for name, array in inputs.items())
        return infer_each(self._prepared(shapes), inputs, names)

    def _prepare(self, shapes: _Shapes) -> Any:
        compiled = compile_model(self._shaped(shapes), self._hint, streams=self._streams)
        return [compiled.create_infer_request() for _ in range(self._streams.num_requests)]


def _check_interface(point: EntryPoint, model: Any, path: Path) -> None:
    """Compares a graph's real inputs and outputs with the card's."""
    for what, ports, listed in (
        ("inputs", model.inputs, point.inputs),
        ("outputs", model.outputs, point.outputs),
    ):
        found = [_port(port) for port in ports]
        sizes = [[None if dim.is_free else dim.least for dim in spec.dims] for spec in listed]
        wanted = [(s.name, _TYPES[s.dtype], size) for s, size in zip(listed, sizes, strict=True)]
        if found != wanted:
            raise CardError(f"the {what} of {path} are {found}, but its model card says {wanted}")


def _port(port: Any) -> tuple[str, str, list[int | None]]:
    """Name, type and shape of an input or output; None is a dimension of any size."""
    shape = [None if dim.is_dynamic else dim.get_length() for dim in port.partial_shape]
    return min(port.names, default=""), port.element_type.get_type_name(), shape


def _is_usable(precision: str) -> bool:
    try:
        return _computes_in(precision)
    except BackendError:
        return False


def _computes_in(precision: str) -> bool:
    model = _one_convolution(quantised=precision == "int8")
    compiled = compile_model(model, "bf16" if precision == "bf16" else "f32")
    image = np.full((1, 16, 8, 8), 2, np.float32)
    try:
        outputs = infer([compiled.create_infer_request()], {"image": image}, ["sums"])
    except RuntimeError as error:
        raise BackendError(
            f"OpenVINO cannot compute on this CPU: {reason(error)}", hint=REINSTALL
        ) from error
    is_right = bool((outputs["sums"] == 16).all())  # 16 channels x 2 x 0.5
    wanted = PRECISION_NAMES.get(precision, precision)
    return is_right and layer_precision(compiled)["conv"] == wanted


def _one_convolution(*, quantised: bool) -> Any:
    """A 1x1 convolution of 16 channels with weights of 0.5, in numbers that INT8 has exactly."""
    openvino = load_library()
    ops = openvino.opset8
    image = taken = ops.parameter([1, 16, 8, 8], np.float32, name="image")
    weights = ops.constant(np.full((16, 16, 1, 1), 0.5, np.float32))
    if quantised:
        taken = _in_steps(ops, image, (0, 255))
        weights = _in_steps(ops, weights, (-64, 63.5))
    sums = ops.convolution(taken, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    model = openvino.Model([sums], [image], "one_convolution")
    model.input(0).set_names({"image"})
    model.output(0).set_names({"sums"})
    return model


def _in_steps(ops: Any, values: Any, limits: tuple[float, float]) -> Any:
    low, high = (ops.constant(np.float32(limit)) for limit in limits)
    return ops.fake_quantize(values, low, high, low, high, 256)
