"""Counts what a call of a model has to compute and to move, from its network's operations.

Counted operations are the multiply-accumulates of convolutions and matrix products, as PyTorch's
`FlopCounterMode` sees them. Norms, activations and sums are left out: they are about a hundredth of
an image network's arithmetic, and no matrix unit does them.

Counted bytes are those that any execution must move at least once: every weight, the inputs, the
outputs. What layers pass to each other is left out, because a machine with enough cache, or an
execution that fuses layers, never sends it to memory. So the time that follows from the counts is a
lower bound, and the bytes never make a share of the roofline too high.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stargan_deploy.card.card import ModelCard, Precision
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.families.registry import load_family

LAYERS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Layers whose parameters are stored at the precision of the call."""

WEIGHT_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
"""Size of a parameter of `LAYERS`; all others stay in FP32."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operations:
    """The multiply-accumulates of a network."""

    macs: int
    """All of them, products with zero padding included, as the field counts them."""
    padding_macs: int
    """Products with zero padding, which a kernel may skip."""
    winograd_macs: int
    """Those of 3x3 convolutions with stride 1, where Winograd's algorithm fits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CallCounts(Operations):
    """The least that one call of an entry point costs."""

    num_bytes: int
    """Weights, inputs and outputs, each once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSize:
    """What a model's main entry point takes."""

    macs: int
    """Multiply-accumulates of one image at the size of its training."""
    parameters: int
    """Weights of its networks."""


def model_size(card: ModelCard) -> ModelSize:
    """The size of what a model is used for first: its generator, where it has one.

    Raises:
        StarganDeployError: networks that the card does not describe.
    """
    name, side = card.main_entry_point, card.preprocessing.image_size
    counts = count_call(card, batch_size=1, height=side, width=side, entry_point=name)
    family = load_family(card.family)
    with torch.device("meta"):
        networks = family.build_networks(card.network)
    weights = [p.numel() for r in family.entry_networks(name) for p in networks[r].parameters()]
    return ModelSize(macs=counts.macs, parameters=sum(weights))


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
        batch_size: images per call.
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
    operations = count_operations(module, inputs)
    moved = sum(_tensor_bytes(spec, sizes) for spec in (*point.inputs, *point.outputs))
    return CallCounts(
        **dataclasses.asdict(operations), num_bytes=_weight_bytes(module, precision) + moved
    )


def count_operations(module: nn.Module, inputs: Sequence[Tensor]) -> Operations:
    """Runs a module once and counts its operations.

    Args:
        module: any network; on the meta device nothing is computed.
        inputs: its arguments, on the same device.
    """
    convolutions: list[Operations] = []

    def count(*args: Any, out_val: Tensor, **_: Any) -> int:
        convolutions.append(_count_convolution(*args, output=out_val))
        return 2 * convolutions[-1].macs

    count._get_raw = True  # type: ignore[attr-defined]  # tensors in place of their shapes
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution: count})
    with counter, torch.inference_mode():
        module(*inputs)
    return Operations(
        macs=counter.get_total_flops() // 2,
        padding_macs=sum(each.padding_macs for each in convolutions),
        winograd_macs=sum(each.winograd_macs for each in convolutions),
    )


def _count_convolution(
    x: Tensor, weight: Tensor, _bias: Tensor | None, *settings: Any, output: Tensor
) -> Operations:
    """Counts a call of `aten.convolution`."""
    stride, padding, dilation, transposed = settings[:4]
    # Every position on the near side meets every tap, whose far end may lie in the padding.
    near, far = (x, output) if transposed else (output, x)
    num_dims = weight.dim() - 2
    channel_pairs = len(x) * weight.shape[0] * weight.shape[1]
    macs = channel_pairs * math.prod(near.shape[2:]) * math.prod(weight.shape[2:])
    inside = channel_pairs
    for dim in range(num_dims):
        length, taps = near.shape[dim + 2], weight.shape[dim + 2]
        starts = range(-padding[dim], length * stride[dim] - padding[dim], stride[dim])
        offsets = range(0, taps * dilation[dim], dilation[dim])
        inside *= sum(0 <= start + tap < far.shape[dim + 2] for start in starts for tap in offsets)
    is_3x3 = not transposed and weight.shape[2:] == (3, 3) and {*stride, *dilation} == {1}
    return Operations(macs=macs, padding_macs=macs - inside, winograd_macs=macs if is_3x3 else 0)


def _weight_bytes(module: nn.Module, precision: Precision) -> int:
    layers = (layer for layer in module.modules() if isinstance(layer, LAYERS))
    lowered = {parameter for layer in layers for parameter in layer.parameters()}
    return sum(
        parameter.numel() * (WEIGHT_BYTES[precision] if parameter in lowered else 4)
        for parameter in module.parameters()
    )


def _tensor_bytes(spec: TensorSpec, sizes: dict[str, int]) -> int:
    itemsize: int = getattr(torch, spec.dtype).itemsize
    return math.prod(spec.shape_for(sizes)) * itemsize
