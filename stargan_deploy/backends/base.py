"""What every runtime has in common: named inputs as the card lists them, checked, split, padded.

A runtime touches no library and no device until it is entered, and serves one thread:

    with open_runtime(Path("model.onnx"), batch_size=16) as runtime:
        outputs = runtime.run({"image": image, "label": label})
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import EntryPoint, ModelCard, Precision, TensorSpec
from stargan_deploy.errors import UsageError

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """How a file is to be run; what is None is left to the backend or to the file's card."""

    device: str | None = None
    """"cpu", "cuda", "cuda:N" or "mps"; None takes the best usable one."""
    batch_size: int | None = None
    """Fixed size of every call to the engine; None runs inputs as they are."""
    weights: Literal["ema", "raw"] | None = None
    """Of a checkpoint with both kinds, which."""
    precision: Precision | None = None
    """Of a checkpoint, what its convolutions compute in; an artefact has its own."""


class Runtime(ABC):
    """One loaded artefact; subclasses open it, run one batch, and close it.

    Args:
        card: the artefact's card, whose entry points name inputs and outputs.
        batch_size: fixed size of every call to the engine: larger inputs are split, smaller ones
            padded by repeating their last row, so that a result does not depend on how many
            rows came with it. None runs inputs as they are.
    """

    backend = ""
    """Name of the backend, as `--backend` takes it."""

    def __init__(self, card: ModelCard, *, batch_size: int | None = None) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"a batch holds at least one image, not {batch_size}")
        self.card = card
        self.batch_size = batch_size
        self._entered = False

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that the engine really runs on, such as "cpu" or "cuda:0"."""

    @abstractmethod
    def _open(self) -> None:
        """Loads the artefact."""

    @abstractmethod
    def _close(self) -> None:
        """Lets go of everything that `_open` took."""

    @abstractmethod
    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Runs one checked batch."""

    def __enter__(self) -> Self:
        self._open()
        self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        whole = self.batch_size is not None or isinstance(point.inputs[0].shape[0], int)
        parts = []
        for start in range(0, num_rows, size):
            rows = {
                name: padded(array[start : start + size], size if whole else 0)
                for name, array in inputs.items()
            }
            parts.append(self._execute(entry_point, rows))
        return {name: np.concatenate([p[name] for p in parts])[:num_rows] for name in parts[0]}

    def _checked_rows(self, entry_point: str, inputs: Arrays) -> int:
        """The number of rows of inputs that fit an entry point.

        Raises:
            UsageError: they do not fit, or the runtime is not entered.
        """
        if not self._entered:
            raise UsageError("this runtime is closed; use it inside a with block")
        return _check_inputs(self.card.entry_point(entry_point), inputs)


def _call_size(point: EntryPoint, wanted: int) -> int:
    """Rows of a call: as many as wanted, or as the engine takes."""
    batch = point.inputs[0].shape[0]
    if isinstance(batch, int):
        return batch
    return wanted if batch.max is None else min(wanted, batch.max)


def padded(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Rows filled up to a number by repeating the last one."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing > 0 else rows


def _check_inputs(point: EntryPoint, inputs: Arrays) -> int:
    """Compares inputs with the card; returns their number of rows."""
    wanted = {spec.name for spec in point.inputs}
    if set(inputs) != wanted:
        raise UsageError(f"inputs must be {sorted(wanted)}, not {sorted(inputs)}")
    counts = {_check_input(spec, inputs[spec.name]) for spec in point.inputs}
    if len(counts) != 1 or 0 in counts:
        raise UsageError(f"all inputs need the same number of rows, at least one, not {counts}")
    return counts.pop()


def _check_input(spec: TensorSpec, array: npt.NDArray[Any]) -> int:
    fits = array.ndim == len(spec.shape) and all(
        size == wanted if isinstance(wanted, int) else wanted.accepts(size)
        for size, wanted in zip(array.shape[1:], spec.shape[1:], strict=False)
    )
    if not fits or str(array.dtype) != spec.dtype:
        wanted_shape = "x".join(_describe(dim) for dim in spec.shape)
        raise UsageError(
            f"input {spec.name!r} must be {spec.dtype} {wanted_shape} ({spec.layout}), "
            f"not {array.dtype} {'x'.join(map(str, array.shape))}"
        )
    if spec.kind == "class_index":
        _check_classes(spec, array)
    return int(array.shape[0])


def _check_classes(spec: TensorSpec, array: npt.NDArray[Any]) -> None:
    """Refuses numbers of classes that there are not; an engine would give some picture."""
    least, greatest = spec.value_range or (-np.inf, np.inf)
    wrong = array[(array < least) | (array > greatest)]
    if len(wrong):
        raise UsageError(
            f"input {spec.name!r} holds {wrong[0]}, and the classes are {least:g} to {greatest:g}"
        )


def _describe(dim: object) -> str:
    if isinstance(dim, int):
        return str(dim)
    symbol, multiple = getattr(dim, "symbol", "?"), getattr(dim, "multiple", 1)
    return f"{symbol}(multiple of {multiple})" if multiple > 1 else f"{symbol}"
