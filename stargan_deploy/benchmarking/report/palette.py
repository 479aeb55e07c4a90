"""The colour of a backend and the shape of a precision, the same in every chart."""

import zlib

from stargan_deploy.backends.registry import runtime_names, runtime_spec
from stargan_deploy.benchmarking.results import Row

OTHERS = (("#14abd7", "#03c4fe"), ("#8a8f98", "#6f747d"))
"""Further colours, for backends that are not known here."""

SHAPES = {"int8": "diamond", "float16": "triangle", "bfloat16": "square"}


def colours() -> tuple[tuple[str, str], ...]:
    """Colours on light and on dark paper; the page has them as `--b0`, `--b1` and so on."""
    return (*(runtime_spec(name).colours for name in runtime_names()), *OTHERS)


def colour(backend: str) -> str:
    """The page's name for a backend's colour; the same in every chart and every run."""
    known = runtime_names()
    if backend in known:
        return f"b{known.index(backend)}"
    name = backend.encode("utf-8", "replace")
    return f"b{len(known) + zlib.crc32(name) % len(OTHERS)}"


def shape(row: Row) -> str:
    """Shape for the narrowest type that a row computes in."""
    parts = row.precision.split("+")
    return next((SHAPES[name] for name in SHAPES if name in parts), "circle")
