"""How a backend and a precision look in every chart: a colour, and a shape."""

import zlib

from stargan_deploy.benchmarking.results import Row

BACKENDS = {
    "eager": ("#33333a", "#acadb6"),
    "compile": ("#c49915", "#fbc857"),
    "onnx": ("#3757c3", "#2b92f4"),
    "openvino": ("#0a946b", "#35e8b5"),
    "pt2": ("#972885", "#b26eae"),
    "trt": ("#bb100c", "#d26833"),
}
"""Colours of the backends on light and on dark paper, which every eye tells apart."""

OTHERS = (("#14abd7", "#03c4fe"), ("#8a8f98", "#6f747d"))
"""Further colours, for backends that are not known here."""

COLOURS = (*BACKENDS.values(), *OTHERS)
"""The page has them as `--b0`, `--b1` and so on."""

SHAPES = {"int8": "diamond", "float16": "triangle", "bfloat16": "square"}

SHAPE_WORDS = (
    "\N{BLACK CIRCLE}\N{NO-BREAK SPACE}FP32, "
    "\N{BLACK UP-POINTING TRIANGLE}\N{NO-BREAK SPACE}FP16, "
    "\N{BLACK SQUARE}\N{NO-BREAK SPACE}BF16, \N{BLACK DIAMOND}\N{NO-BREAK SPACE}INT8."
)
"""What the shapes mean, for the note above a chart."""


def colour(backend: str) -> str:
    """The page's name for a backend's colour; the same in every chart and every run."""
    if backend in BACKENDS:
        return f"b{list(BACKENDS).index(backend)}"
    name = backend.encode("utf-8", "replace")
    return f"b{len(BACKENDS) + zlib.crc32(name) % len(OTHERS)}"


def shape(row: Row) -> str:
    """Shape for the narrowest type that a row computes in."""
    parts = row.precision.split("+")
    return next((SHAPES[name] for name in SHAPES if name in parts), "circle")
