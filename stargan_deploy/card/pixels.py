"""The two forms of images, and the one map between them: x / 127.5 - 1.

*Pixels* are uint8 in [0, 255], (N, H, W, 3); *tensors* are float32 in [-1, 1], (N, 3, H, W), as
networks take them.
"""

from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.tensors import TensorSpec

Pixels = npt.NDArray[np.uint8]

HALF_RANGE = 127.5
"""8-bit levels per unit of the networks' range, which is 2 wide."""

NOT_FINITE = "the model's result is not finite (NaN or infinity)"

NOT_FINITE_HINT = "its weights are damaged, or `precision` is too low for them: try fp32"


class _Numbers(Protocol):
    """Float32 values: a numpy array or a torch tensor."""

    def __truediv__(self, other: float, /) -> Self: ...
    def __mul__(self, other: float, /) -> Self: ...
    def __add__(self, other: float, /) -> Self: ...
    def __sub__(self, other: float, /) -> Self: ...


Values = TypeVar("Values", bound=_Numbers)


def levels_to_unit(levels: Values) -> Values:
    """Levels in [0, 255] to [-1, 1]."""
    return levels / HALF_RANGE - 1.0


def unit_to_levels(unit: Values) -> Values:
    """[-1, 1] to levels in [0, 255], neither rounded nor clamped."""
    return (unit + 1.0) * HALF_RANGE


def pixels_to_tensor(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Pixels (N, H, W, 3) in [0, 255] to a tensor (N, 3, H, W) in [-1, 1]."""
    scaled = levels_to_unit(pixels.astype(np.float32))
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def tensor_to_pixels(tensor: npt.NDArray[np.floating]) -> Pixels:
    """A tensor (N, 3, H, W) in [-1, 1] to pixels (N, H, W, 3) in [0, 255], rounded and clamped."""
    scaled = np.rint(unit_to_levels(tensor.astype(np.float32)))
    with np.errstate(invalid="ignore"):  # `finite_rows` finds what is no number
        pixels = scaled.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def finite_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows (N, ...) hold finite numbers only, as (N,)."""
    found: npt.NDArray[np.bool_] = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return found


def as_pixels(image: npt.NDArray[Any]) -> Pixels:
    """Either form of a batch of images as pixels (N, H, W, 3)."""
    return image if image.dtype == np.uint8 else tensor_to_pixels(image)


def to_spec(pixels_NHWC: Pixels, spec: TensorSpec) -> npt.NDArray[Any]:
    """Pixels (N, H, W, 3) in the form that a graph takes.

    Raises:
        CardError: an unknown form of image.
    """
    return pixels_NHWC if spec.is_pixels else pixels_to_tensor(pixels_NHWC)


def from_spec(array: npt.NDArray[Any], spec: TensorSpec) -> Pixels:
    """Pixels (N, H, W, 3) from what a graph gave.

    Raises:
        CardError: an unknown form of image.
    """
    return array if spec.is_pixels else tensor_to_pixels(array)
