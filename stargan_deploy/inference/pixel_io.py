"""Pixels on our side, what the card's tensor specs ask for on the engine's."""

from typing import Any, Literal

import numpy.typing as npt

from stargan_deploy.card.card import TensorSpec
from stargan_deploy.errors import CardError
from stargan_deploy.files.images import Pixels, pixels_to_tensor, tensor_to_pixels


def to_spec(pixels_NHWC: Pixels, spec: TensorSpec) -> npt.NDArray[Any]:
    """Pixels (N, H, W, 3) as the engine takes them.

    Raises:
        CardError: a form of image that is not known here.
    """
    if _form(spec) == "pixels":
        return pixels_NHWC
    return pixels_to_tensor(pixels_NHWC)


def from_spec(array: npt.NDArray[Any], spec: TensorSpec) -> Pixels:
    """Pixels (N, H, W, 3) from what the engine gave.

    Raises:
        CardError: a form of image that is not known here.
    """
    pixels: Pixels = array if _form(spec) == "pixels" else tensor_to_pixels(array)
    return pixels


def _form(spec: TensorSpec) -> Literal["pixels", "tensor"]:
    """Which of the two forms of an image (see `images`) a spec describes."""
    if (spec.dtype, spec.layout) == ("uint8", "NHWC"):
        return "pixels"
    if (spec.dtype, spec.layout, spec.value_range) == ("float32", "NCHW", (-1.0, 1.0)):
        return "tensor"
    raise CardError(
        f"{spec.name!r} is {spec.dtype} {spec.layout} in {spec.value_range}; images are "
        "uint8 NHWC, or float32 NCHW in (-1.0, 1.0)"
    )
