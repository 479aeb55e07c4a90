"""Runs a checkpoint's entry points in FP32 PyTorch: slow, and what every artefact must equal."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from stargan_deploy.backends.base import Arrays, FileRuntime, OpenOptions, SelfTest
from stargan_deploy.backends.eager.spec import SPEC
from stargan_deploy.backends.exporter import types_by_kind
from stargan_deploy.backends.tensors import (
    number_of_threads,
    threads_to_pin,
    to_arrays,
    to_tensors,
    true_fp32,
)
from stargan_deploy.backends.trial import check_trial, trial_devices, trial_input, trial_layer
from stargan_deploy.card.card import ModelCard
from stargan_deploy.devices import CPU, Device, choose_device
from stargan_deploy.errors import BackendError, UsageError
from stargan_deploy.families.base import Checkpoint
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, read_card
from stargan_deploy.families.registry import load_family

LAYER_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": (nn.Conv2d, nn.ConvTranspose2d),
    "norm": (nn.InstanceNorm2d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm),
    "linear": (nn.Linear,),
}
"""Layers by kind, as a card's `precision` names them."""

Outputs = Tensor | Sequence[Tensor]


class EagerRuntime(FileRuntime):
    """A checkpoint in PyTorch, always in true FP32 (no TF32, no autocast).

    Args:
        path: a checkpoint, as `save_checkpoint` writes it; only its card is read until entered.
        options: without a device it takes a usable GPU, else the CPU; the precision can be fp32
            only.
        content: what the checkpoint holds, if it was loaded already.

    Raises:
        ModelError: not a checkpoint of ours; on entry: damaged weights.
        BackendError: on entry, the device is not usable.
        UsageError: another precision; on entry, the checkpoint does not hold the weights asked for.
    """

    backend = SPEC.name
    precisions = SPEC.precisions

    def __init__(
        self, path: Path, options: OpenOptions | None = None, *, content: Checkpoint | None = None
    ) -> None:
        options = options or OpenOptions()
        self._content = content
        self.precision = options.precision or self.precisions[0]
        if self.precision not in self.precisions:
            raise self._no_such_precision()
        super().__init__(path, options)
        self.card = dataclasses.replace(self.card, weights=options.weights or self.card.weights)
        self._device = CPU
        self._modules: dict[str, Callable[..., Outputs]] = {}

    @property
    def device(self) -> Device:
        """The device that the networks are on."""
        return self._device

    @property
    def pinned_threads(self) -> int | None:
        """Threads that compute each call, where they were pinned."""
        return threads_to_pin(self._options.threads, self._device)

    @classmethod
    def read_card(cls, path: Path) -> ModelCard:
        """Reads the card of a checkpoint."""
        return read_card(path)

    @classmethod
    def self_test(cls) -> SelfTest:
        """Computes one convolution on every device that torch can use."""
        devices = trial_devices()
        for device in devices:
            with torch.inference_mode(), true_fp32():
                check_trial(trial_layer().to(device)(trial_input().to(device)), device)
        return SelfTest(text=f"torch {torch.__version__}: fp32 on {', '.join(devices)}")

    def _prepare_call(self, entry_point: str, inputs: Arrays) -> Callable[[], None]:
        tensors = to_tensors(self.card.entry_point(entry_point), inputs, self._device)

        def call() -> None:
            self._call(entry_point, tensors)

        return call

    def _no_such_precision(self) -> UsageError:
        return UsageError(
            f"the eager backend computes in fp32 only, not in {self.precision}",
            hint="the compile backend runs a checkpoint at other precisions",
        )

    def _open(self) -> None:
        self._device = choose_device(self._options.device)
        content = self._content or load_checkpoint(self._path)
        networks = build_model(content, weights=self.card.weights)
        family = load_family(self.card.family)
        modules = {
            name: self._lowered(family.entry_module(networks, name)).to(self._device.to_torch())
            for name in self.card.entry_points
        }
        self.card = dataclasses.replace(self.card, precision=layer_types(modules.values()))
        self._modules = {name: self._callable(module) for name, module in modules.items()}

    def _close(self) -> None:
        self._modules = {}

    def _lowered(self, network: nn.Module) -> nn.Module:
        """A network at `self.precision`."""
        return network

    def _callable(self, network: nn.Module) -> Callable[..., Outputs]:
        """The function that `_call` calls."""
        return network

    def _call(self, entry_point: str, tensors: Sequence[Tensor]) -> Outputs:
        """Runs a network on tensors that are on its device."""
        try:
            with torch.inference_mode(), true_fp32(), number_of_threads(self.pinned_threads):
                return self._modules[entry_point](*tensors)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{self.device} has too little memory for this batch",
                hint="take a smaller batch size",
            ) from error

    def _execute(self, entry_point: str, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        point = self.card.entry_point(entry_point)
        return to_arrays(point, self._call(entry_point, to_tensors(point, inputs, self._device)))


def layer_types(networks: Iterable[nn.Module]) -> dict[str, str]:
    """Types of the weights that networks compute with by kind of layer, as a card has them."""
    layers = (layer for network in networks for layer in network.modules())
    return types_by_kind(
        (kind, {str(w.dtype).removeprefix("torch.") for w in layer.parameters(recurse=False)})
        for layer in layers
        for kind, classes in LAYER_KINDS.items()
        if isinstance(layer, classes)
    )
