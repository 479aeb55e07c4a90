"""Puts pre- and post-processing into the graph, so that a client just feeds pixels.

With `uint8`, images go in and come out as pixels: uint8 RGB in [0, 255], N H W C. With `float`,
they are what the network itself sees: float32 in [-1, 1], N C H W.
"""

import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn

from stargan_deploy.card import EntryPoint, TensorSpec

PixelIO = Literal["uint8", "float"]


def with_io(point: EntryPoint, io: PixelIO) -> EntryPoint:
    """An entry point of a checkpoint, with its images as `io` says."""
    if io == "float":
        return point
    return dataclasses.replace(
        point,
        inputs=tuple(map(_as_pixels, point.inputs)),
        outputs=tuple(map(_as_pixels, point.outputs)),
    )


def wrap(module: nn.Module, point: EntryPoint, io: PixelIO) -> nn.Module:
    """A module that takes and gives images as `io` says.

    Args:
        module: takes and gives float images.
        point: the checkpoint's own entry point, as the module is.
        io: what the graph shall take and give.
    """
    return module if io == "float" else PixelModule(module, point).eval()


class PixelModule(nn.Module):
    """A network between two conversions: pixels to [-1, 1], and back with rounding and clamping."""

    def __init__(self, module: nn.Module, point: EntryPoint) -> None:
        super().__init__()
        self.module = module
        self.takes_image = [spec.kind == "image" for spec in point.inputs]
        self.gives_image = [spec.kind == "image" for spec in point.outputs]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Takes the entry point's inputs in their order, and gives its outputs in theirs."""
        pairs = zip(inputs, self.takes_image, strict=True)
        outputs = self.module(*(_to_unit(x) if is_image else x for x, is_image in pairs))
        listed = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = zip(listed, self.gives_image, strict=True)
        return tuple(_to_pixels(y) if is_image else y for y, is_image in pairs)


def _to_unit(pixels_BHWC: Tensor) -> Tensor:
    """Pixels to [-1, 1], as `images.pixels_to_tensor`; TensorRT cannot transpose uint8."""
    scaled_BHWC = pixels_BHWC.to(torch.float32) / 127.5 - 1.0
    return scaled_BHWC.permute(0, 3, 1, 2)


def _to_pixels(image_BCHW: Tensor) -> Tensor:
    """[-1, 1] to pixels, as `images.tensor_to_pixels`; TensorRT cannot transpose uint8."""
    scaled_BCHW = ((image_BCHW + 1.0) * 127.5).round().clamp(0, 255)
    return scaled_BCHW.permute(0, 2, 3, 1).to(torch.uint8)


def _as_pixels(spec: TensorSpec) -> TensorSpec:
    if spec.kind != "image":
        return spec
    batch, channels, height, width = spec.shape
    return dataclasses.replace(
        spec,
        dtype="uint8",
        layout="NHWC",
        shape=(batch, height, width, channels),
        value_range=(0.0, 255.0),
    )
