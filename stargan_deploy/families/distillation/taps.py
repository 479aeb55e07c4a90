"""Reads what layers inside a network put out, without changing the network's code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from stargan_deploy.families.distillation.base import Layer


class Taps:
    """Hooks on layers of a network, which keep their outputs while somebody collects.

    Args:
        network: any network.
        layers: the layers to read, by name; one may stand there several times.
    """

    def __init__(self, network: nn.Module, layers: Sequence[Layer]) -> None:
        self.found: list[Tensor] | None = None
        self._num_layers = len(layers)
        for number, layer in enumerate(layers):
            network.get_submodule(layer.name).register_forward_hook(self._keeper(number))

    def begin(self) -> list[Tensor]:
        """Collect from here on, into the list returned."""
        self.found = [Tensor() for _ in range(self._num_layers)]
        return self.found

    def end(self) -> None:
        """Stop, and keep nothing alive."""
        self.found = None

    def _keeper(self, number: int) -> Any:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            if self.found is not None:
                self.found[number] = output

        return keep


@contextmanager
def collected(taps: Sequence[Taps]) -> Iterator[list[Tensor]]:
    """The outputs of all layers of the calls in the block; complete at its end."""
    lists = [each.begin() for each in taps]
    features: list[Tensor] = []
    try:
        yield features
        features += [output for found in lists for output in found]
    finally:
        for each in taps:
            each.end()
