"""torch.compile for the functions of a training."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

RECOMPILE_LIMIT = 128
"""Compiled versions of one function: every update at every stage, fading in or not, and some spare.
Torch's own limit is 8, after which it falls back to eager code."""

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A compiled function, recompiled for each size of its inputs.

    There is one image size per phase, so recompilations are few. Sizes must be numbers, because the
    double backward of a convolution, which the gradient penalty needs, does not support symbols.
    """
    built = torch.compile(function, dynamic=False)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT):
            return built(*args, **kwargs)

    return call
