"""Runs `.pt2` packages: networks that torch's compiler made native code of, ahead of time.

They need torch's libraries, but no compiler and no Python code of the model. Reading a card touches
neither torch nor the code in the package.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from stargan_deploy.backends.artefact import ArtefactRuntime, Payload
from stargan_deploy.backends.base import Arrays, OpenOptions
from stargan_deploy.backends.pt2.file import (
    ROOT,
    parse_target,
    payload_sha256,
    read_card,
    read_entries,
    read_target,
    write_package,
)
from stargan_deploy.backends.pt2.target import check_fits
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.devices import is_cuda_usable, pick_device
from stargan_deploy.errors import BackendError, CardError, ModelError, brief

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Pt2Runtime", "load_code", "open_file", "read_card", "try_out"]

Code = Callable[[Sequence["Tensor"]], list["Tensor"]]
"""A network's native code: takes the inputs in their order, and gives the outputs in theirs."""


class Pt2Runtime(ArtefactRuntime[Code]):
    """A package in torch's ahead-of-time runtime, on the kind of device that it was compiled for.

    Args:
        path: a `.pt2` file that this tool exported; only its card is read until entered.
        options: of the devices, "cpu", "cuda" or "cuda:N"; None takes the package's.

    Raises:
        ModelError: not a package of this tool; on entry or first use: a changed, missing or
            unloadable file.
        BackendError: on entry, the package was compiled for another device, processor or torch.
    """

    backend = "pt2"

    def __init__(self, path: Path, options: OpenOptions | None = None) -> None:
        super().__init__(path, read_card(path), options or OpenOptions())

    def device_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        """Prepares a call of the native code alone, for measuring it.

        Args:
            entry_point: what to do, as the card names it.
            inputs: as `run` takes them, of one batch; they are copied to the device here, once.

        Returns:
            Runs the code on inputs and outputs that stay on the device. On a GPU it does not wait
            for the result. Holds until the runtime is closed.

        Raises:
            UsageError: the inputs do not fit, or the runtime is not entered.
        """
        self._checked_rows(entry_point, inputs)
        tensors = self._to_tensors(entry_point, inputs)

        def call() -> None:
            self._call(entry_point, tensors)

        return call

    def _pick_device(self, wanted: str | None) -> str:
        kind = read_target(self._path).device
        if kind == "cuda" and wanted is None and not is_cuda_usable():
            raise BackendError(
                f"{self._path} was compiled for an NVIDIA GPU, and none is usable here; export "
                "again with --device cpu"
            )
        return str(pick_device(wanted or kind))

    def _read_payload(self, path: Path) -> Payload:
        entries = read_entries(path)
        return Payload(sha256=payload_sha256(entries), content=entries)

    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> Code:
        target = parse_target(payload.content, path)
        if (target.inputs, target.outputs) != (point.inputs, point.outputs):
            raise CardError(f"{path} was compiled for other inputs or outputs than its card says")
        check_fits(target, str(path), self._device)
        try:
            return load_code(payload.content, self._device)
        except RuntimeError as error:
            raise ModelError(f"torch cannot load {path}: {brief(error)}") from error

    def _to_tensors(self, entry_point: str, inputs: Arrays) -> "tuple[Tensor, ...]":
        import torch

        from stargan_deploy.backends.tensors import to_tensors

        return to_tensors(self.card.entry_point(entry_point), inputs, torch.device(self._device))

    def _call(self, entry_point: str, tensors: "Sequence[Tensor]") -> "list[Tensor]":
        from stargan_deploy.backends.tensors import true_fp32

        code = self._engine(entry_point)
        try:
            with true_fp32(tuned=self.batch_size is not None):
                return code(tensors)
        except RuntimeError as error:
            raise BackendError(
                f"the package failed on {entry_point!r} ({self.device}): {brief(error)}; where "
                "memory ran out, take a smaller batch size"
            ) from error

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        from stargan_deploy.backends.tensors import to_arrays

        outputs = self._call(entry_point, self._to_tensors(entry_point, inputs))
        return to_arrays(self.card.entry_point(entry_point), outputs)


def open_file(path: Path, options: OpenOptions) -> Pt2Runtime:
    """What `backends.registry` calls; see `Pt2Runtime`."""
    return Pt2Runtime(path, options)


def load_code(entries: Mapping[str, bytes], device: str) -> Code:
    """Loads the native code of a package.

    Args:
        entries: its files, checked; they are written to a new package, because torch's own reader
            might see others in the file that they came from.
        device: "cpu" or "cuda:N".

    Raises:
        RuntimeError: torch's own complaint.
    """
    import torch

    index = torch.device(device).index
    with tempfile.TemporaryDirectory(prefix="stargan-deploy-") as folder:
        path = Path(folder) / f"{ROOT}.pt2"
        write_package(path, entries)
        # The loader behind torch._inductor.aoti_load_package, which besides compares instruction
        # sets by calling a C++ compiler: 11 s where there is one, an error where there is none.
        loader = torch._C._aoti.AOTIModelPackageLoader(
            str(path), "model", False, 1, -1 if index is None else index
        )

    def run(tensors: "Sequence[Tensor]") -> "list[Tensor]":
        with torch.inference_mode():
            outputs: list[Tensor] = loader.run(list(tensors))
        return outputs

    return run


def try_out() -> str:
    """Compiles one convolution to a package, and loads and runs it, on every usable device.

    Raises:
        BackendError: there is no compiler, it fails, or a wrong number comes out.
    """
    import torch

    from stargan_deploy.backends.compile.inductor import compile_trial, precisions_for
    from stargan_deploy.backends.trial import check_trial, trial_devices, trial_input

    found = []
    for device in trial_devices():
        try:
            code = load_code(compile_trial(device), device)
            check_trial(code([trial_input().to(device)])[0], device)
        except RuntimeError as error:
            raise BackendError(
                f"torch cannot run a package on {device}: {brief(error)}; reinstall torch"
            ) from error
        found.append(f"{', '.join(precisions_for(device))} on {device}")
    return f"torch {torch.__version__}: {'; '.join(found)}"
