"""Counts what a call of a model has to compute and to move, from its network's layers.

Counted operations are the multiply-accumulates of convolutions and linear layers. Norms,
activations and sums are left out: they are about a hundredth of an image network's arithmetic, and
no matrix unit does them.

Counted bytes are those that any execution must move at least once: every weight, the inputs, the
outputs. What layers hand to each other is left out, because a machine with enough cache, or an
execution that fuses layers, never sends it to memory. So the time that follows from the counts is a
lower bound, and the bytes never make a share of the roofline too high.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.families.registry import load_family

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
COUNTED_LAYERS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)

WEIGHT_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
"""Size of a weight of the counted layers; all other parameters stay in FP32."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """What one use of a layer computes."""

    macs: int
    """Multiply-accumulates, products with zero padding included, as the field counts them."""
    padding_macs: int = 0
    """Of these, products with zero padding, which a kernel may skip."""
    winograd_macs: int = 0
    """Of these, those of 3x3 convolutions with stride 1, where Winograd's algorithm fits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CallCounts:
    """What one call of an entry point costs at least; the operations as in `LayerCounts`."""

    macs: int
    padding_macs: int
    winograd_macs: int
    num_bytes: int
    """Weights, inputs and outputs, each once."""


def count_call(
    card: ModelCard,
    *,
    batch_size: int,
    height: int,
    width: int,
    precision: Precision = "fp32",
    entry_point: str = "translate",
) -> CallCounts:
    """Counts a call of an entry point of a model, without its weights and without computing.

    Args:
        card: of a checkpoint or an artefact.
        batch_size: images of the call.
        height: of the images in pixels, where the entry point takes any.
        width: of the images in pixels, where the entry point takes any.
        precision: of the weights.
        entry_point: a name in the card.

    Raises:
        CardError: the model has no such entry point.
        UsageError: the network does not take images of that size.
    """
    sizes = {"N": batch_size, "H": height, "W": width}
    point = card.entry_point(entry_point)
    family = load_family(card.family)
    with torch.device("meta"):
        networks = family.build_networks(card.network)
        module = family.entry_module(networks, entry_point)
        # An artefact's own entry point may take pixels, which its network does not.
        native = family.entry_points(networks, card)[entry_point]
        inputs = [
            torch.empty(spec.shape_for(sizes), dtype=getattr(torch, spec.dtype))
            for spec in native.inputs
        ]
    layers = count_layers(module, inputs)
    tensors = (*point.inputs, *point.outputs)
    moved = sum(_tensor_bytes(spec, sizes) for spec in tensors)
    return CallCounts(
        macs=sum(layer.macs for layer in layers),
        padding_macs=sum(layer.padding_macs for layer in layers),
        winograd_macs=sum(layer.winograd_macs for layer in layers),
        num_bytes=_weight_bytes(module, precision) + moved,
    )


def count_layers(module: nn.Module, inputs: Sequence[Tensor]) -> list[LayerCounts]:
    """Runs a module once and counts each use of a layer, in order.

    Args:
        module: any network; on the meta device nothing is computed.
        inputs: its arguments, on the same device.
    """
    found: list[LayerCounts] = []

    def count(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(_count_layer(layer, args[0], output))

    counted = [layer for layer in module.modules() if isinstance(layer, COUNTED_LAYERS)]
    hooks = [layer.register_forward_hook(count) for layer in counted]
    try:
        with torch.inference_mode():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _count_layer(layer: Any, x: Tensor, y: Tensor) -> LayerCounts:
    if isinstance(layer, nn.Linear):
        return LayerCounts(macs=y.numel() * layer.in_features)
    # Every position on the one side meets every tap, whose other end may lie in the padding.
    near, far = (x, y) if isinstance(layer, TRANSPOSED) else (y, x)
    channel_pairs = len(x) * layer.in_channels * layer.out_channels // layer.groups
    macs = channel_pairs * math.prod(near.shape[2:]) * math.prod(layer.kernel_size)
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return LayerCounts(macs=macs, winograd_macs=macs if _suits_winograd(layer) else 0)
    sides = enumerate(zip(near.shape[2:], far.shape[2:], strict=True))
    inside = math.prod(_taps_inside(layer, dim, *lengths) for dim, lengths in sides)
    return LayerCounts(
        macs=macs,
        padding_macs=macs - channel_pairs * inside,
        winograd_macs=macs if _suits_winograd(layer) else 0,
    )


def _suits_winograd(layer: Any) -> bool:
    ones = {*layer.stride, *layer.dilation}
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and ones == {1}


def _taps_inside(layer: Any, dim: int, near: int, far: int) -> int:
    """Pairs of a position and a tap along one dimension that do not end in the padding."""
    stride, padding, dilation = layer.stride[dim], layer.padding[dim], layer.dilation[dim]
    taps = range(0, layer.kernel_size[dim] * dilation, dilation)
    starts = range(-padding, near * stride - padding, stride)
    return sum(0 <= start + tap < far for start in starts for tap in taps)


def _weight_bytes(module: nn.Module, precision: Precision) -> int:
    layers = (layer for layer in module.modules() if isinstance(layer, COUNTED_LAYERS))
    lowered = {parameter for layer in layers for parameter in layer.parameters()}
    return sum(
        parameter.numel() * (WEIGHT_BYTES[precision] if parameter in lowered else 4)
        for parameter in module.parameters()
    )


def _tensor_bytes(spec: TensorSpec, sizes: dict[str, int]) -> int:
    itemsize: int = getattr(torch, spec.dtype).itemsize
    return math.prod(spec.shape_for(sizes)) * itemsize
