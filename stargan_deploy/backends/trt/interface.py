"""The inputs and outputs of a card, of a network and of an engine, in the same words."""

from typing import Any

from stargan_deploy.backends.trt.provider import Provider
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.errors import CardError

Interface = dict[str, tuple[str, str, tuple[int, ...]]]
"""Direction ("input" or "output"), type and shape by name; -1 is a size that is not fixed."""


def card_interface(point: EntryPoint) -> Interface:
    """The interface in a card."""
    directions = {"input": point.inputs, "output": point.outputs}
    return {
        spec.name: (
            direction,
            spec.dtype,
            tuple(dim if isinstance(dim, int) else -1 for dim in spec.shape),
        )
        for direction, specs in directions.items()
        for spec in specs
    }


def network_interface(provider: Provider, network: Any) -> Interface:
    """The interface of a network."""
    tensors = {
        "input": map(network.get_input, range(network.num_inputs)),
        "output": map(network.get_output, range(network.num_outputs)),
    }
    return {
        tensor.name: (direction, provider.dtype_name(tensor.dtype), tuple(tensor.shape))
        for direction, found in tensors.items()
        for tensor in found
    }


def engine_interface(provider: Provider, engine: Any) -> Interface:
    """The interface of an engine."""
    names = map(engine.get_tensor_name, range(engine.num_io_tensors))
    return {
        name: (
            engine.get_tensor_mode(name).name.lower(),
            provider.dtype_name(engine.get_tensor_dtype(name)),
            tuple(engine.get_tensor_shape(name)),
        )
        for name in names
    }


def check_engine_interface(provider: Provider, engine: Any, point: EntryPoint) -> None:
    """Compares an engine with its card.

    Raises:
        CardError: they differ.
    """
    found, wanted = engine_interface(provider, engine), card_interface(point)
    if found != wanted:
        raise CardError(
            f"the engine has {found}, but its model card says {wanted}", hint="export again"
        )
