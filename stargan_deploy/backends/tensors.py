"""Arrays to tensors on a device and back, as an entry point lists them, and true FP32 between."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stargan_deploy.backends.base import Arrays, Threads
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.devices import Device


def to_tensors(point: EntryPoint, inputs: Arrays, device: Device) -> tuple[Tensor, ...]:
    """An entry point's inputs in their order, on a device.

    Copies, because torch shares memory with no read-only or reversed array.
    """
    place = device.to_torch()
    arrays = (np.array(inputs[spec.name], order="C") for spec in point.inputs)
    return tuple(torch.from_numpy(array).to(place) for array in arrays)


def to_arrays(point: EntryPoint, outputs: Tensor | Sequence[Tensor]) -> dict[str, npt.NDArray[Any]]:
    """The outputs of an entry point by name."""
    listed = (outputs,) if isinstance(outputs, Tensor) else outputs
    pairs = zip(point.outputs, listed, strict=True)
    return {spec.name: output.cpu().numpy() for spec, output in pairs}


@contextmanager
def number_of_threads(number: int | None) -> Iterator[None]:
    """Has torch compute with a number of threads, also with more than there are processors.

    Args:
        number: None leaves it as it is.
    """
    before = torch.get_num_threads()
    if number is None or number == before:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_to_pin(wanted: Threads | None, device: Device) -> int | None:
    """The number of threads that calls on a device are pinned to; by default all that torch has.

    Sums of torch's CPU kernels are divided by threads, which moves single values by a rounding.
    """
    if device.is_cuda or device.kind != "cpu":
        return None
    return torch.get_num_threads() if wanted == "pinned" else wanted


@contextmanager
def true_fp32(*, tuned: bool = False) -> Iterator[None]:
    """Keeps cuDNN from rounding the convolutions' inputs to TF32, which is its default.

    Args:
        tuned: whether cuDNN tries its algorithms on each new shape and keeps the fastest.
    """
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=tuned, allow_tf32=False, fp32_precision="ieee"
    ):
        yield
