"""Runs ONNX artefacts in onnxruntime."""

import contextlib
import ctypes
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from stargan_deploy.backends.artefact import OUT_OF_MEMORY, ArtefactRuntime, Payload
from stargan_deploy.backends.base import Arrays, SelfTest
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.devices import pick_device
from stargan_deploy.errors import BackendError, CardError, ModelError, brief

SILENT = 4
"""onnxruntime's log level that prints fatal errors only; the others also come as exceptions."""

_log = logging.getLogger(__name__)


class OnnxRuntime(ArtefactRuntime[onnxruntime.InferenceSession]):
    """An ONNX artefact in onnxruntime, on the CPU or through its CUDA provider.

    Args:
        path: an exported `.onnx` file; only its card is read until entered.
        options: of the devices, "cpu", "cuda" or "cuda:N". None takes a GPU where onnxruntime can
            use one, else the CPU, and logs a warning where there is a GPU that it cannot use.

    Raises:
        ModelError: not an exported ONNX file; on entry or first use: a changed, missing or
            unloadable file.
        BackendError: on entry, onnxruntime cannot use the device.
    """

    backend = "onnx"

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card in an ONNX file."""
        return onnx_file.read_card(path)

    @classmethod
    def self_test(cls) -> SelfTest:
        """Runs a graph of one convolution on the CPU, and through CUDA where that is offered."""
        _run_convolution("cpu")
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return SelfTest(
                text="CPU only: built without CUDA",
                hint="for a GPU: pip install onnxruntime-gpu in its place",
            )
        try:
            _run_convolution("cuda:0")
        except BackendError as error:
            return SelfTest(text=f"CPU only: {error.message}", hint=error.hint)
        return SelfTest(text="CPU, CUDA")

    def _pick_device(self, wanted: str | None) -> str:
        return _pick_device(wanted)

    def _read_payload(self, path: Path) -> Payload:
        graph = onnx_file.graph_bytes(onnx_file.read_model(path))
        return Payload(sha256=onnx_file.payload_sha256(graph), content=graph)

    def _load_engine(
        self, point: EntryPoint, path: Path, payload: Payload
    ) -> onnxruntime.InferenceSession:
        session = _create_session(path, payload.content, self._device)
        if self._device != "cpu" and "CUDAExecutionProvider" not in session.get_providers():
            missing = _missing_for_cuda()
            reason = f"onnxruntime cannot use {self._device}: {missing.message}"
            if self._wanted_device is not None:
                hint = f"{missing.hint}, or use `device` cpu".removeprefix(", or ")
                raise BackendError(reason, hint=hint)
            _log.warning("%s; computing on the CPU", reason)
            self._device = "cpu"
        _check_interface(point, session, path)
        return session

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        session = self._engine(entry_point)
        names = [spec.name for spec in self.card.entry_point(entry_point).outputs]
        try:
            outputs = session.run(names, dict(inputs))
        except Exception as error:  # onnxruntime's errors share no base class
            raise BackendError(
                f"onnxruntime failed on {entry_point!r} ({self.device}): {brief(error)}",
                hint=OUT_OF_MEMORY,
            ) from error
        return dict(zip(names, outputs, strict=True))


def _run_convolution(device: str) -> None:
    """Compares one convolution with numpy's."""
    draws = np.random.default_rng(0)
    image_BCHW = draws.standard_normal((1, 3, 8, 8), np.float32)
    weight_OCHW = draws.standard_normal((4, 3, 3, 3), np.float32)
    try:
        session = _create_session(Path("a one-layer graph"), _convolution(weight_OCHW), device)
        if device != "cpu" and "CUDAExecutionProvider" not in session.get_providers():
            raise _missing_for_cuda()
        (found,) = session.run(None, {"image": image_BCHW})
    except BackendError:
        raise
    except ModelError as error:
        raise BackendError(error.message, hint=error.hint) from error
    except Exception as error:  # onnxruntime's errors share no base class
        raise BackendError(f"onnxruntime fails on {device}: {brief(error)}") from error
    windows = np.lib.stride_tricks.sliding_window_view(image_BCHW, (3, 3), axis=(2, 3))
    expected = np.einsum("bchwyx,ocyx->bohw", windows, weight_OCHW)
    if not np.allclose(found, expected, atol=1e-4):
        raise BackendError(
            f"onnxruntime gives wrong numbers on {device}", hint="install another version"
        )


def _convolution(weight_OCHW: npt.NDArray[np.float32]) -> bytes:
    """An ONNX model of a convolution without padding, from "image" to "out"."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["image", "weight"], ["out"])],
        "self_test",
        [value("image", onnx.TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [value("out", onnx.TensorProto.FLOAT, ["batch", 4, 6, 6])],
        [onnx.numpy_helper.from_array(weight_OCHW, "weight")],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def _create_session(path: Path, graph: bytes, device: str) -> onnxruntime.InferenceSession:
    """Builds a session from the very bytes that were checked, not from a second reading."""
    onnxruntime.set_default_logger_severity(SILENT)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    if device != "cpu":
        _preload_cuda_libraries()
    try:
        return onnxruntime.InferenceSession(graph, options, providers=_providers(device))
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(f"onnxruntime cannot load {path}: {brief(error)}") from error


def _providers(device: str) -> list[tuple[str, dict[str, str]]]:
    cpu: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
    if device == "cpu":
        return [cpu]
    # TF32 is on by default there and would undo the proof against FP32.
    options = {"device_id": device.partition(":")[2], "use_tf32": "0"}
    return [("CUDAExecutionProvider", options), cpu]


def _pick_device(wanted: str | None) -> str:
    """The device to ask onnxruntime for: "cpu" or "cuda:N"."""
    offered = onnxruntime.get_available_providers()
    if wanted == "cpu" or (wanted is None and "CUDAExecutionProvider" not in offered):
        return "cpu"  # without importing torch to look for a GPU
    device = str(pick_device(wanted))
    if device == "mps":
        raise BackendError(
            "the onnx backend computes on cpu or cuda, not on mps", hint="use `device` cpu"
        )
    if device != "cpu" and "CUDAExecutionProvider" not in offered:
        raise BackendError(
            "this onnxruntime is built for the CPU only",
            hint="pip install onnxruntime-gpu in its place, or use `device` cpu",
        )
    return device


def _preload_cuda_libraries() -> None:
    """Loads the CUDA libraries that pip installed, where the linker would not look for them."""
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls(directory="")


def _missing_for_cuda() -> BackendError:
    """The reason why the CUDA provider does not load, in the linker's own words if it has any."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / "libonnxruntime_providers_cuda.so"))
    except OSError as error:
        if "libcuda.so" in str(error):
            return BackendError("no NVIDIA driver (libcuda.so.1) is installed")
        install = "install CUDA's libraries with: pip install 'onnxruntime-gpu[cuda,cudnn]'"
        return BackendError(brief(error), hint=install)
    return BackendError(
        "its CUDA provider loads, but refused the device", hint="check the driver's version"
    )


def _check_interface(point: EntryPoint, session: onnxruntime.InferenceSession, path: Path) -> None:
    """Compares a graph's real inputs and outputs with the card's."""
    for what, real, listed in (
        ("inputs", session.get_inputs(), point.inputs),
        ("outputs", session.get_outputs(), point.outputs),
    ):
        found = [(arg.name, arg.type, list(arg.shape)) for arg in real]
        wanted = [(spec.name, _onnx_type(spec), _onnx_shape(spec)) for spec in listed]
        if found != wanted:
            raise CardError(f"the {what} of {path} are {found}, but its model card says {wanted}")


def _onnx_type(spec: TensorSpec) -> str:
    names = {"float32": "float", "uint8": "uint8", "int64": "int64"}
    return f"tensor({names[spec.dtype]})"


def _onnx_shape(spec: TensorSpec) -> list[int | str]:
    return [dim if isinstance(dim, int) else dim.symbol for dim in spec.shape]
