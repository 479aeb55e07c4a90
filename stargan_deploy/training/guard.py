"""Detection of losses that are no longer finite."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

FP16_PATIENCE = 50
"""Consecutive steps with overflows that the FP16 scaler may need to find its scale."""


class FiniteGuard:
    """Finds the first step at which a loss is NaN or infinite, without stalling a GPU.

    The terms of a step are copied while the next one is computed, and checked afterwards.

    Args:
        patience: number of consecutive bad steps allowed.
    """

    def __init__(self, patience: int = 0) -> None:
        self._patience = patience
        self._num_bad = 0
        self._pending: tuple[int, list[str], Tensor] | None = None
        self._copied: torch.cuda.Event | None = None

    def watch(self, step: int, terms: Mapping[str, Tensor]) -> tuple[int, str, float] | None:
        """Watch the terms of a step; return (step, term, value) of an earlier bad one."""
        bad = self.check()
        values = torch.stack([term.detach().float() for term in terms.values()])
        self._pending = (step, list(terms), values.to("cpu", non_blocking=True))
        if not values.is_cuda:
            return bad or self.check()
        self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._copied.record()
        return bad

    def check(self) -> tuple[int, str, float] | None:
        """Check the last step now; return (step, term, value) if it is bad."""
        if self._pending is None:
            return None
        step, names, values = self._pending
        if self._copied is not None:
            self._copied.synchronize()
        self._pending = None
        found = [
            (n, v) for n, v in zip(names, values.tolist(), strict=True) if not math.isfinite(v)
        ]
        self._num_bad = self._num_bad + 1 if found else 0
        return (step, *found[0]) if self._num_bad > self._patience else None
