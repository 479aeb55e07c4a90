"""Inputs of `torch.export` for an entry point: example tensors, and which sizes are free."""

from typing import Any

import torch
from torch import Tensor

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import Dim, TensorSpec

_EXAMPLE_STEPS = 6
"""Size of an example input in steps of its dimension; small, and unlike any size in a network."""

_LEAST_TRACED_STEPS = 3
"""A dimension is traced up to so many steps, also where only two are allowed: torch takes one step
for a number and no size, so that of one or two it would see the two only, and refuse. The limit
itself stands in the card, in an engine's profile and in an IR's shapes."""


def example_inputs(point: EntryPoint, device: str = "cpu") -> tuple[Tensor, ...]:
    """Tensors of zeros that fit; the sizes of free dimensions only start the tracing."""
    return tuple(_example(spec).to(device) for spec in point.inputs)


def dynamic_shapes(point: EntryPoint) -> tuple[Any, ...]:
    """The free dimensions of the inputs for `torch.export`; equal symbols stay equal.

    All inputs are one item, because `PixelModule` takes them as one variable argument.
    """
    known: dict[str, Any] = {}
    for spec in point.inputs:
        for dim in spec.shape:
            if isinstance(dim, Dim) and dim.symbol not in known and dim.is_free:
                known[dim.symbol] = _torch_dim(dim)
    return (tuple(_free_dims(spec, known) for spec in point.inputs),)


def _free_dims(spec: TensorSpec, known: dict[str, Any]) -> dict[int, Any]:
    dims = enumerate(spec.shape)
    return {i: known[d.symbol] for i, d in dims if isinstance(d, Dim) and d.symbol in known}


def _example(spec: TensorSpec) -> Tensor:
    sizes = [dim if isinstance(dim, int) else _example_size(dim) for dim in spec.shape]
    return torch.zeros(sizes, dtype=getattr(torch, spec.dtype))


def _example_size(dim: Dim) -> int:
    steps = max(dim.least_steps, _EXAMPLE_STEPS)
    most = _traced_steps(dim)
    return (steps if most is None else min(steps, most)) * dim.multiple


def _torch_dim(dim: Dim) -> Any:
    steps = torch.export.Dim(dim.symbol, min=dim.least_steps, max=_traced_steps(dim))
    return steps if dim.multiple == 1 else dim.multiple * steps


def _traced_steps(dim: Dim) -> int | None:
    """The greatest number of steps passed to torch."""
    most = dim.greatest_steps
    return max(most, _LEAST_TRACED_STEPS) if most is not None and dim.is_free else most
