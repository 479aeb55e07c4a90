"""Networks in which only the convolutions compute in half precision.

Instance norm in FP16 fails (its sums overflow; onnxruntime#10079, TensorRT#2691), and would save
little time: the convolutions do nearly all the arithmetic. So each of them casts its input and
output, and everything between them stays in FP32.
"""

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from stargan_deploy.errors import ModelError

LOWERED_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""Layers that do nearly all the arithmetic of an image network."""


class LoweredLayer(nn.Module):
    """A layer with half weights between casts: FP32 in, FP32 out.

    Args:
        layer: one of `LOWERED_LAYERS`; its parameters are converted in place.
        dtype: type that the layer computes in.
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = layer.to(dtype)
        self.dtype = dtype
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output in FP32."""
        y: Tensor = self.layer(x.to(self.dtype))
        return y.to(torch.float32)


def lower_convolutions(
    module: nn.Module, dtype: torch.dtype, *, only: Collection[str] | None = None
) -> nn.Module:
    """Copy a network such that its convolutions and linear layers compute in half precision.

    Weights are rounded once, here; a layer that is used in several places stays one layer. Keys of
    the copy's state dict contain ".layer".

    Args:
        module: any network in FP32; it is not changed.
        dtype: torch.float16 or torch.bfloat16.
        only: names of the layers to lower; None lowers all.

    Raises:
        ModelError: a weight is too large for the type.
    """
    lowered: dict[nn.Module, nn.Module] = {}
    return _lower(copy.deepcopy(module), dtype, lowered, name="", only=only)


def _lower(
    module: nn.Module,
    dtype: torch.dtype,
    lowered: dict[nn.Module, nn.Module],
    name: str,
    only: Collection[str] | None,
) -> nn.Module:
    if isinstance(module, LOWERED_LAYERS):
        if only is not None and name not in only:
            return module
        if module not in lowered:
            _check_range(module, dtype, name)
            lowered[module] = LoweredLayer(module, dtype)
        return lowered[module]
    for child_name, child in module._modules.items():
        if child is not None:
            path = f"{name}.{child_name}" if name else child_name
            module._modules[child_name] = _lower(child, dtype, lowered, path, only)
    return module


def _check_range(layer: nn.Module, dtype: torch.dtype, name: str) -> None:
    """Refuse weights that rounding would make infinite; the greatest float16 is 65504."""
    greatest = torch.finfo(dtype).max
    for key, weights in layer.named_parameters():
        found = float(weights.detach().abs().max())
        if found > greatest:
            raise ModelError(
                f"{name}.{key} holds a weight of {found:.3g}, and the greatest {dtype} is "
                f"{greatest:.3g}",
                hint="set `precision` to bf16 or fp32",
            )
