"""Matrix products (GEMM) as backends' libraries compute them, for a roofline to be timed.

The factors are random: a GPU draws less power on zeros, and clocks higher.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

Product = Callable[[], object]
"""Computes a product once; on a GPU it only starts it."""

Arithmetic = Literal["float32", "bfloat16", "float16", "int8"]
"""Type of the factors; int8 is accumulated in int32, half precision as the library chooses."""

Size = tuple[int, int, int]
"""M, N, K of a product (M, K) x (K, N): M * N * K multiply-accumulates."""

_POOL = 65_537
"""Numbers that are drawn, and repeated to fill a factor, because drawing all of them takes long; a
prime, so that the rows differ."""


def factors(arithmetic: Arithmetic, size: Size) -> tuple[Any, Any]:
    """Random factors as numpy arrays; of int8, unsigned activations by signed weights."""
    rows, columns, inner = size
    draws = np.random.default_rng(0)
    if arithmetic == "int8":
        pool = draws.integers(1, 256, _POOL, dtype=np.uint8)
        return np.resize(pool, (rows, inner)), np.resize(pool.view(np.int8), (inner, columns))
    pool = draws.standard_normal(_POOL, np.float32).astype(arithmetic)
    return np.resize(pool, (rows, inner)), np.resize(pool, (inner, columns))
