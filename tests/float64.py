"""Trainings in float64, whose rounding does not tell one order of computing from another.

In FP32 an activation may change its sign by rounding, after which gradients differ by percents, on
one CPU and not on another. As a program, this file is `stargan-deploy` in float64.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def in_float64() -> Iterator[None]:
    """Networks that are built in the block have float64 weights, and widen what they are given."""
    hook = torch.nn.modules.module.register_module_forward_pre_hook(_widened)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        hook.remove()


def _widened(_, inputs):
    return tuple(
        value.double() if torch.is_tensor(value) and value.is_floating_point() else value
        for value in inputs
    )


if __name__ == "__main__":
    from stargan_deploy.cli import main

    with in_float64():
        main()
