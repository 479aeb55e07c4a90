"""Runs `.pt2` packages: networks that torch's compiler made native code of, ahead of time.

They need torch's libraries, but no compiler and no Python code of the model. Reading a card touches
neither torch nor the code in the package.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from stargan_deploy.backends.artefact import OUT_OF_MEMORY, ArtefactRuntime, Payload
from stargan_deploy.backends.base import Arrays, SelfTest
from stargan_deploy.backends.pt2.file import (
    ROOT,
    TARGET_ENTRY,
    parse_target,
    payload_sha256,
    read_card,
    read_entries,
    read_target,
    write_package,
)
from stargan_deploy.backends.pt2.spec import SPEC
from stargan_deploy.backends.pt2.target import check_fits
from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.devices import Device, choose_device, is_cuda_usable, parse_device
from stargan_deploy.errors import BackendError, CardError, ModelError, UsageError, brief

if TYPE_CHECKING:
    from torch import Tensor

Code = Callable[[Sequence["Tensor"]], list["Tensor"]]
"""A network's native code: takes the inputs in their order, and gives the outputs in theirs."""


class Pt2Runtime(ArtefactRuntime[Code]):
    """A package in torch's ahead-of-time runtime, on the kind of device that it was compiled for.

    Args:
        path: an exported `.pt2` file; only its card is read until entered.
        options: without a device it takes the one that the package was compiled for.

    Raises:
        ModelError: not an exported package; on entry or first use: a changed, missing or
            unloadable file.
        BackendError: on entry, the package was compiled for another device, processor or torch.
    """

    backend = SPEC.name

    @property
    def pinned_threads(self) -> int | None:
        """Threads that compute each call, where they were pinned."""
        from stargan_deploy.backends.tensors import threads_to_pin

        return threads_to_pin(self._options.threads, self._device)

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card in a package."""
        return read_card(path)

    @classmethod
    def self_test(cls) -> SelfTest:
        """Compiles one convolution to a package, and loads and runs it, on every usable device."""
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
                    f"torch cannot run a package on {device}: {brief(error)}",
                    hint="reinstall torch",
                ) from error
            found.append(f"{', '.join(precisions_for(device))} on {device}")
        return SelfTest(text=f"torch {torch.__version__}: {'; '.join(found)}")

    def _prepare_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        tensors = self._to_tensors(entry_point, inputs)

        def call() -> None:
            self._call(entry_point, tensors)

        return call

    def _pick_device(self, wanted: Device | None) -> Device:
        compiled_for = parse_device(read_target(self._path).device)
        if compiled_for.is_cuda and wanted is None and not is_cuda_usable():
            raise BackendError(
                f"{self._path} was compiled for an NVIDIA GPU, and none is usable here",
                hint="export again with `device` cpu",
            )
        return choose_device(str(wanted or compiled_for))

    def _read_payload(self, path: Path) -> Payload:
        entries = read_entries(path)
        return Payload(sha256=payload_sha256(entries), content=entries)

    def _load_engine(self, point: EntryPoint, path: Path, payload: Payload) -> Code:
        target = parse_target(payload.content, path)
        if (target.inputs, target.outputs) != (point.inputs, point.outputs):
            raise CardError(f"{path} was compiled for other inputs or outputs than its card says")
        check_fits(target, str(path), str(self._device))
        try:
            return load_code(payload.content, str(self._device))
        except RuntimeError as error:
            raise ModelError(f"torch cannot load {path}: {brief(error)}") from error

    def _to_tensors(self, entry_point: str, inputs: Arrays) -> "tuple[Tensor, ...]":
        from stargan_deploy.backends.tensors import to_tensors

        return to_tensors(self.card.entry_point(entry_point), inputs, self._device)

    def _call(self, entry_point: str, tensors: "Sequence[Tensor]") -> "list[Tensor]":
        from stargan_deploy.backends.tensors import number_of_threads, true_fp32

        code = self._engine(entry_point)
        pinned = number_of_threads(self.pinned_threads)
        try:
            with pinned, true_fp32(tuned=self.batch_size is not None):
                return code(tensors)
        except RuntimeError as error:
            raise BackendError(
                f"the package failed on {entry_point!r} ({self.device}): {brief(error)}",
                hint=OUT_OF_MEMORY,
            ) from error

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        from stargan_deploy.backends.tensors import to_arrays

        outputs = self._call(entry_point, self._to_tensors(entry_point, inputs))
        return to_arrays(self.card.entry_point(entry_point), outputs)


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
    specs = parse_target(entries, Path(f"{ROOT}.pt2")).inputs if TARGET_ENTRY in entries else ()
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
            outputs: list[Tensor] = loader.run(_as_compiled(tensors, specs))
        return outputs

    return run


def _as_compiled(tensors: "Sequence[Tensor]", specs: Sequence[TensorSpec]) -> "list[Tensor]":
    """Tensors as the code reads them: it takes their memory for contiguous without a look.

    Raises:
        UsageError: a tensor of another type, which the code would misread.
    """
    for tensor, spec in zip(tensors, specs, strict=False):
        found = str(tensor.dtype).removeprefix("torch.")
        if found != spec.dtype:
            raise UsageError(f"input {spec.name!r} must be {spec.dtype}, not {found}")
    return [tensor.contiguous() for tensor in tensors]
