"""Puts pre- and post-processing into the graph, so that a client just feeds pixels.

With `uint8`, images go in and come out as pixels: uint8 RGB in [0, 255], N H W C. With `float`,
they are what the network itself sees: float32 in [-1, 1], N C H W.
"""

import torch
from torch import Tensor, nn

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.pixels import levels_to_unit, unit_to_levels
from stargan_deploy.card.tensors import PixelIO


class PixelModule(nn.Module):
    """A network with an entry point's inputs in their order, and its images as `io` says.

    Args:
        module: the network; it takes and gives float images.
        point: the checkpoint's own entry point, which says where the images are.
        io: with `uint8`, pixels are converted to [-1, 1] on the way in, and back with rounding and
            clamping on the way out.
    """

    def __init__(self, module: nn.Module, point: EntryPoint, io: PixelIO) -> None:
        super().__init__()
        self.module = module
        self.takes_pixels = [io == "uint8" and spec.kind == "image" for spec in point.inputs]
        self.gives_pixels = [io == "uint8" and spec.kind == "image" for spec in point.outputs]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Takes the entry point's inputs in their order, and gives its outputs in theirs."""
        taken = zip(inputs, self.takes_pixels, strict=True)
        outputs = self.module(*(_to_unit(x) if pixels else x for x, pixels in taken))
        given = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = zip(given, self.gives_pixels, strict=True)
        return tuple(_to_pixels(y) if pixels else y for y, pixels in pairs)


def _to_unit(pixels_BHWC: Tensor) -> Tensor:
    """Pixels to [-1, 1], as `card.pixels.pixels_to_tensor`; TensorRT cannot transpose uint8."""
    scaled_BHWC = levels_to_unit(pixels_BHWC.to(torch.float32))
    return scaled_BHWC.permute(0, 3, 1, 2)


def _to_pixels(image_BCHW: Tensor) -> Tensor:
    """[-1, 1] to pixels, as `card.pixels.tensor_to_pixels`; TensorRT cannot transpose uint8."""
    scaled_BCHW = unit_to_levels(image_BCHW).round().clamp(0, 255)
    return scaled_BCHW.permute(0, 2, 3, 1).to(torch.uint8)
