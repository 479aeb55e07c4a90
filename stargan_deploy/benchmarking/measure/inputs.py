"""Random inputs of a call that fit a card, never zeros; made without any backend's library."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import Dim, EntryPoint, TensorSpec


def random_inputs(
    point: EntryPoint, *, batch_size: int, height: int, width: int, seed: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Draws every input of an entry point, uniformly over its range.

    Args:
        point: as the card lists it.
        batch_size: rows of each input.
        height: of images in pixels, where the entry point takes any.
        width: of images in pixels, where the entry point takes any.
        seed: another one gives other inputs.
    """
    draws = np.random.default_rng(seed)
    sizes = {"N": batch_size, "H": height, "W": width}
    return {spec.name: _draw(spec, tensor_shape(spec, sizes), draws) for spec in point.inputs}


def tensor_shape(spec: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of an input or output in a call.

    Args:
        spec: as the card lists it.
        sizes: of symbolic dimensions by their letter in the layout; others take their least size.
    """
    dims = zip(spec.layout, spec.shape, strict=True)
    return tuple(
        sizes.get(letter, dim.min) if isinstance(dim, Dim) else dim for letter, dim in dims
    )


def _draw(spec: TensorSpec, shape: tuple[int, ...], draws: np.random.Generator) -> npt.NDArray[Any]:
    if spec.dtype == "float32":
        if spec.value_range is None:
            return draws.standard_normal(shape, np.float32)
        return draws.uniform(*spec.value_range, shape).astype(np.float32)
    low, high = spec.value_range or ((0, 255) if spec.dtype == "uint8" else (0, 0))
    return draws.integers(int(low), int(high), shape, endpoint=True).astype(spec.dtype)
