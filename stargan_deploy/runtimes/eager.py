"""Runs a checkpoint's entry points in FP32 PyTorch: slow, and what every artefact must equal."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stargan_deploy.devices import pick_device
from stargan_deploy.errors import BackendError
from stargan_deploy.models.checkpoint import build_model, load_checkpoint, read_card
from stargan_deploy.models.family import load_family
from stargan_deploy.runtimes.base import Arrays, Runtime

__all__ = ["EagerRuntime", "open_file", "read_card"]

Weights = Literal["ema", "raw"]


class EagerRuntime(Runtime):
    """A checkpoint in PyTorch, always in true FP32 (no TF32, no autocast).

    Args:
        path: a checkpoint, as `save_checkpoint` writes it; only its card is read until entered.
        device: "cpu", "cuda", "cuda:N" or "mps"; None takes a usable GPU, else the CPU.
        batch_size: as in `Runtime`.
        weights: moving average or last weights; None takes the card's choice.

    Raises:
        ModelError: not a checkpoint of ours; on entry: damaged weights.
        BackendError: on entry, the device is not usable.
        UsageError: on entry, the checkpoint does not hold the weights asked for.
    """

    backend = "eager"

    def __init__(
        self,
        path: Path,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        weights: Weights | None = None,
    ) -> None:
        card = read_card(path)
        card = dataclasses.replace(card, weights=weights or card.weights)
        super().__init__(card, batch_size=batch_size)
        self._path = path
        self._wanted_device = device
        self._device = torch.device("cpu")
        self._networks: dict[str, nn.Module] = {}

    @property
    def device(self) -> str:
        """The device that the networks stand on."""
        return str(self._device)

    def _open(self) -> None:
        self._device = pick_device(self._wanted_device)
        networks = build_model(load_checkpoint(self._path), weights=self.card.weights)
        self._networks = {role: network.to(self._device) for role, network in networks.items()}

    def _close(self) -> None:
        self._networks = {}

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        point = self.card.entry_point(entry_point)
        module = load_family(self.card.family).entry_module(self._networks, entry_point)
        try:
            with torch.inference_mode(), _true_fp32():
                tensors = (_to_tensor(inputs[spec.name], self._device) for spec in point.inputs)
                outputs = module(*tensors)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{self.device} has too little memory for this batch; take a smaller batch size"
            ) from error
        listed = (outputs,) if isinstance(outputs, Tensor) else outputs
        names = (spec.name for spec in point.outputs)
        return {name: out.cpu().numpy() for name, out in zip(names, listed, strict=True)}


def open_file(
    path: Path,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    weights: Weights | None = None,
) -> EagerRuntime:
    """What `runtimes.choose` calls; see `EagerRuntime`."""
    return EagerRuntime(path, device=device, batch_size=batch_size, weights=weights)


def _to_tensor(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Copies, because torch shares memory with no read-only or reversed array."""
    return torch.from_numpy(np.array(array, order="C")).to(device)


@contextmanager
def _true_fp32() -> Iterator[None]:
    """Keeps cuDNN from rounding the convolutions' inputs to TF32, which is its default."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, fp32_precision="ieee"):
        yield
