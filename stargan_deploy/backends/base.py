"""The base of every runtime: named inputs as the card lists them, checked, split, padded.

A runtime touches no library and no device until it is entered, and serves one thread:

    with open_runtime(Path("model.onnx"), batch_size=16) as runtime:
        outputs = runtime.run({"image": image, "label": label})
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import EntryPoint, ModelCard, Precision
from stargan_deploy.card.inputs import check_inputs
from stargan_deploy.devices import Device
from stargan_deploy.errors import UsageError

Provider = str | tuple[str, Mapping[str, Any]]
"""An execution provider of onnxruntime by name, or with its options."""

Providers = Sequence[Provider]

Arrays = Mapping[str, npt.NDArray[Any]]

Threads = int | Literal["pinned"]
"""A number of threads, or the one that a backend pins by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """How to run a file; None leaves a choice to the backend or to the file's card."""

    device: str | None = None
    """"cpu", "cuda", "cuda:N" or "mps"; None takes the best usable one."""
    batch_size: int | None = None
    """Fixed size of every call to the engine; None runs inputs as they are."""
    weights: Literal["ema", "raw"] | None = None
    """Which weights of a checkpoint with both kinds."""
    precision: Precision | None = None
    """Compute precision of a checkpoint's convolutions; an artefact has its own."""
    threads: Threads | None = None
    """Threads that compute one call on a CPU, where results depend on their number: a fixed number,
    or "pinned" for one of the backend's choice; None leaves them to its library."""
    session: Any = None
    """An open `onnxruntime.InferenceSession` of the file that is opened."""
    session_options: Any = None
    """`onnxruntime.SessionOptions` to open sessions with."""
    providers: Providers | None = None
    """onnxruntime's execution providers to open sessions with, such as "CoreMLExecutionProvider";
    None takes the device's."""

    @property
    def has_session_settings(self) -> bool:
        """Whether anything is set that only onnxruntime takes."""
        return any(x is not None for x in (self.session, self.session_options, self.providers))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTest:
    """The outcome of a backend's self-test that passed."""

    text: str
    """The devices that work, for example "CPU, CUDA"."""
    hint: str = ""
    """How to make the other devices work."""


class Runtime(ABC):
    """One loaded model; subclasses open it, run one batch, and close it.

    Args:
        card: the artefact's card, whose entry points name inputs and outputs.
        batch_size: fixed size of every call to the engine: larger inputs are split, smaller ones
            padded by repeating their last row, so that a result does not depend on how many
            rows came with it. None runs inputs as they are.
    """

    backend = ""
    """Name of the backend."""

    def __init__(self, card: ModelCard, *, batch_size: int | None = None) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"a batch holds at least one image, not {batch_size}")
        self.card = card
        self.batch_size = batch_size
        self._entered = False

    @property
    @abstractmethod
    def device(self) -> Device:
        """The device that the engine really runs on."""

    @property
    def pinned_threads(self) -> int | None:
        """Threads that compute one call, where results depend on their number and it was fixed."""
        return None

    @abstractmethod
    def _open(self) -> None:
        """Loads the model."""

    @abstractmethod
    def _close(self) -> None:
        """Releases everything that `_open` acquired."""

    @abstractmethod
    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Runs one checked batch."""

    def __enter__(self) -> Self:
        self._open()
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        self._entered = False
        self._close()

    def run(self, inputs: Arrays, *, entry_point: str = "translate") -> dict[str, npt.NDArray[Any]]:
        """Runs any number of rows through an entry point.

        Args:
            inputs: one array for each input that the card names, batch first.
            entry_point: what to do, as the card names it.

        Returns:
            One array for each output that the card names, as many rows as went in.

        Raises:
            UsageError: missing, surplus or ill-shaped inputs, or a runtime that is not entered.
        """
        num_rows = self._checked_rows(entry_point, inputs)
        point = self.card.entry_point(entry_point)
        size = _call_size(point, self.batch_size or num_rows)
        whole = self.batch_size is not None or not point.batch.is_free
        parts = []
        for start in range(0, num_rows, size):
            rows = {
                name: padded(array[start : start + size], size if whole else 0)
                for name, array in inputs.items()
            }
            parts.append(self._execute(entry_point, rows))
        return {name: np.concatenate([p[name] for p in parts])[:num_rows] for name in parts[0]}

    def device_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        """Prepares a call of the engine alone, for measuring it.

        Args:
            entry_point: what to do, as the card names it.
            inputs: as `run` takes them, of one batch; they are copied to the device here, once.

        Returns:
            Runs the engine on inputs and outputs that stay on the device. On a GPU it does not
            wait for the result. Valid until the runtime is closed.

        Raises:
            UsageError: the inputs do not fit, or the runtime is not entered.
            BackendError: the engine failed.
        """
        self._checked_rows(entry_point, inputs)
        return self._prepare_call(entry_point, inputs)

    def _prepare_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        """See `device_call`; on a CPU the arrays are as the engine takes them."""

        def call() -> None:
            self._execute(entry_point, inputs)

        return call

    def _checked_rows(self, entry_point: str, inputs: Arrays) -> int:
        """The number of rows of inputs that fit an entry point.

        Raises:
            UsageError: they do not fit, or the runtime is not entered.
        """
        if not self._entered:
            raise UsageError("this runtime is closed; use it inside a with block")
        return check_inputs(entry_point, self.card.entry_point(entry_point), inputs)


class FileRuntime(Runtime):
    """A runtime that opens files of one kind: what a backend is registered with.

    Args:
        path: a checkpoint or an artefact; only its card is read until the runtime is entered.
        options: how to run it.

    Raises:
        UsageError: options that the backend does not have.
    """

    takes_sessions = False
    """Whether it runs onnxruntime's sessions."""

    def __init__(self, path: Path, options: OpenOptions | None = None) -> None:
        options = options or OpenOptions()
        if options.has_session_settings and not self.takes_sessions:
            raise UsageError(
                "`session`, `session_options` and `providers` are onnxruntime's, and "
                f"{path.name} runs with {self.backend}"
            )
        super().__init__(self.read_card(path), batch_size=options.batch_size)
        self._path = path
        self._options = options

    @classmethod
    @abstractmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card in a file that this backend runs, without the backend's library.

        Raises:
            ModelError: no such file, or another kind of file.
            CardError: it holds no card, or a damaged one.
        """

    @classmethod
    def self_test(cls) -> SelfTest:
        """Computes something small with the backend's library on every device that it can use.

        Raises:
            BackendError: the backend is not usable here.
            ImportError: its library is not installed, or does not load.
        """
        return SelfTest(text="loads")


def _call_size(point: EntryPoint, wanted: int) -> int:
    """Rows of a call: as many as wanted, or as the engine takes."""
    batch = point.batch
    if not batch.is_free:
        return batch.least
    return wanted if batch.greatest is None else min(wanted, batch.greatest)


def padded(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Rows filled up to a number by repeating the last one."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing > 0 else rows
