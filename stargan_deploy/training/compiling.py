"""torch.compile for the functions of a training."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

RECOMPILE_LIMIT = 128
"""Versions of one function: of each player at each stage, fading in or not, and to spare. Torch's
own limit is 8, after which it falls back to eager code."""

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A function that torch's compiler builds anew for each size that it meets.

    Sizes are those of the images of a phase, so they are few; and they must be numbers, because the
    double backward of a convolution, which the gradient penalty takes, knows no symbolic ones.
    """
    built = torch.compile(function, dynamic=False)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT):
            return built(*args, **kwargs)

    return call
