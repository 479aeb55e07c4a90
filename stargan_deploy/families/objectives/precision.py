"""Number formats of a training: autocast, and the scaling of FP16 gradients.

Weights, optimizer state, losses and the gradient penalty are always FP32; `bf16` and `fp16` name
the format that the networks compute in (torch autocast).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

PrecisionName = Literal["fp32", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(name: PrecisionName, device: torch.device) -> AbstractContextManager[object]:
    """The context in which networks compute."""
    if name == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[name])


def gradient_scaler(name: PrecisionName, device: torch.device) -> torch.amp.GradScaler:
    """A scaler of losses for FP16's narrow range; it does nothing at other precisions."""
    return torch.amp.GradScaler(device.type, enabled=name == "fp16")


def at_least_fp32(values: Tensor) -> Tensor:
    """Half-precision values in FP32; FP32 and FP64 as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
