"""Runs ONNX artefacts in onnxruntime."""

import contextlib
import ctypes
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.artefact import OUT_OF_MEMORY, ArtefactRuntime, Payload
from stargan_deploy.backends.base import Arrays, Providers, SelfTest
from stargan_deploy.backends.onnx import file as onnx_file
from stargan_deploy.backends.onnx.spec import SPEC
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.devices import CPU, Device, num_gpus
from stargan_deploy.errors import BackendError, CardError, ModelError, brief

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

CUDA_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"

SILENT = 4
"""onnxruntime's log level that prints fatal errors only; the others also come as exceptions."""

USE_CPU = "use `device` cpu"

_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)", "int64": "tensor(int64)"}
"""onnxruntime's names of a card's types."""

_log = logging.getLogger(__name__)


class OnnxRuntime(ArtefactRuntime["InferenceSession"]):
    """An ONNX artefact in onnxruntime, on the CPU or through its CUDA provider.

    Args:
        path: an exported `.onnx` file; only its card is read until entered.
        options: without a device it takes a GPU where onnxruntime can use one, else the CPU, and
            logs a warning where there is a GPU that it cannot use. With a session, session options
            or providers of the user's own it runs whatever these name; the artefact's proof does
            not cover them.

    Raises:
        ModelError: not an exported ONNX file; on entry or first use: a changed, missing or
            unloadable file.
        BackendError: on entry, onnxruntime cannot use the device.
    """

    backend = SPEC.name
    takes_sessions = True

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card in an ONNX file."""
        return onnx_file.read_card(path)

    @classmethod
    def self_test(cls) -> SelfTest:
        """Runs a graph of one convolution on the CPU, and through CUDA where that is offered."""
        _run_convolution(CPU)
        if CUDA_PROVIDER not in load_library().get_available_providers():
            return SelfTest(
                text="CPU only: built without CUDA",
                hint="for a GPU: pip install onnxruntime-gpu in its place",
            )
        try:
            _run_convolution(Device("cuda"))
        except BackendError as error:
            return SelfTest(text=f"CPU only: {error.message}", hint=error.hint)
        return SelfTest(text="CPU, CUDA")

    def _pick_device(self, wanted: Device | None) -> Device:
        options = self._options
        if options.session is not None:
            return _device_of(options.session.get_providers(), wanted)
        if options.providers is not None:
            names = [name if isinstance(name, str) else name[0] for name in options.providers]
            return _device_of(names, wanted)
        return _pick_device(wanted)

    def _read_payload(self, path: Path) -> Payload:
        known = {point.payload_sha256 for point in self.card.entry_points.values()}
        graph = onnx_file.read_graph(path, known)
        return Payload(sha256=onnx_file.payload_sha256(graph), content=graph)

    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> "InferenceSession":
        session = self._session_for(path, payload.content)
        own = self._options.session is not None or self._options.providers is not None
        if self._device.is_cuda and not own and CUDA_PROVIDER not in session.get_providers():
            self._fall_back_to_cpu()
        _check_interface(point, session, path)
        return session

    def _session_for(self, path: Path, graph: bytes) -> "InferenceSession":
        """The user's session of the file that was opened, or a new one."""
        options = self._options
        if options.session is not None and path == self._path:
            return options.session
        providers = options.providers
        if providers is None and options.session is not None:
            providers = options.session.get_providers()
        return _create_session(path, graph, self._device, options.session_options, providers)

    def _fall_back_to_cpu(self) -> None:
        """Computes on the CPU, which onnxruntime did silently, where the user left the choice.

        Raises:
            BackendError: the user asked for a GPU.
        """
        missing = _missing_for_cuda()
        reason = f"onnxruntime cannot use {self._device}: {missing.message}"
        if self._options.device is not None:
            raise BackendError(reason, hint=", or ".join(filter(None, (missing.hint, USE_CPU))))
        _log.warning("%s; computing on the CPU", reason)
        self._device = CPU

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


def load_library() -> Any:
    """Imports onnxruntime, and silences all but its fatal errors.

    Raises:
        BackendError: it is not installed, or does not load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"cannot use onnxruntime: {brief(error)}", hint=SPEC.install) from error
    onnxruntime.set_default_logger_severity(SILENT)
    return onnxruntime


def _run_convolution(device: Device) -> None:
    """Compares one convolution with numpy's."""
    draws = np.random.default_rng(0)
    image_BCHW = draws.standard_normal((1, 3, 8, 8), np.float32)
    weight_OCHW = draws.standard_normal((4, 3, 3, 3), np.float32)
    try:
        session = _create_session(Path("a one-layer graph"), _convolution(weight_OCHW), device)
        if device.is_cuda and CUDA_PROVIDER not in session.get_providers():
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
    import onnx

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


def _create_session(
    path: Path,
    graph: bytes,
    device: Device,
    options: "SessionOptions | None" = None,
    providers: Providers | None = None,
) -> "InferenceSession":
    """Builds a session from the very bytes that were checked, not from a second reading."""
    library = load_library()
    if options is None:
        options = library.SessionOptions()
        options.log_severity_level = SILENT
    if device.is_cuda:
        with contextlib.redirect_stdout(io.StringIO()):  # those that pip installed
            library.preload_dlls(directory="")
    try:
        # TF32 is on by default there and would undo the proof against FP32.
        cuda = (CUDA_PROVIDER, {"device_id": str(device.index), "use_tf32": "0"})
        own = [cuda, CPU_PROVIDER] if device.is_cuda else [CPU_PROVIDER]
        chosen = own if providers is None else list(providers)
        return library.InferenceSession(graph, options, providers=chosen)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelError(f"onnxruntime cannot load {path}: {brief(error)}") from error


def _device_of(providers: Sequence[str], wanted: Device | None) -> Device:
    """The device of the first provider, which the user chose."""
    first = next(iter(providers), CPU_PROVIDER)
    if first == CUDA_PROVIDER:
        return wanted if wanted is not None and wanted.is_cuda else Device("cuda")
    return CPU if first == CPU_PROVIDER else Device(provider=first)


def _pick_device(wanted: Device | None) -> Device:
    """The device to ask onnxruntime for; a GPU is looked for by the driver, without torch."""
    if wanted == CPU:
        return CPU
    if wanted is not None and wanted.kind not in SPEC.devices:
        raise BackendError(
            f"the onnx backend computes on {' or '.join(SPEC.devices)}, not on {wanted}",
            hint=USE_CPU,
        )
    if CUDA_PROVIDER not in load_library().get_available_providers():
        if wanted is None:
            return CPU
        raise BackendError(
            "this onnxruntime is built for the CPU only",
            hint=f"pip install onnxruntime-gpu in its place, or {USE_CPU}",
        )
    found = num_gpus()
    if wanted is None:
        return Device("cuda") if found else CPU
    if wanted.index >= found:
        reason = f"the driver offers {found} GPU(s)" if found else "no usable GPU"
        raise BackendError(f"device {wanted} is not usable: {reason}", hint=USE_CPU)
    return wanted


def _missing_for_cuda() -> BackendError:
    """The reason why the CUDA provider does not load, in the linker's own words if it has any."""
    folder = Path(str(load_library().__file__)).parent / "capi"
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


def _check_interface(point: EntryPoint, session: "InferenceSession", path: Path) -> None:
    """Compares a graph's real inputs and outputs with the card's."""
    for what, real, listed in (
        ("inputs", session.get_inputs(), point.inputs),
        ("outputs", session.get_outputs(), point.outputs),
    ):
        found = [(arg.name, arg.type, list(arg.shape)) for arg in real]
        shapes = [[d if isinstance(d, int) else d.symbol for d in spec.shape] for spec in listed]
        wanted = [(s.name, _TYPES[s.dtype], shape) for s, shape in zip(listed, shapes, strict=True)]
        if found != wanted:
            raise CardError(f"the {what} of {path} are {found}, but its model card says {wanted}")
