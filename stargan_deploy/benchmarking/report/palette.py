"""How a backend and a precision look in every chart: a colour, and a shape."""

import zlib
from typing import Literal

from stargan_deploy.benchmarking.results import Row

Shape = Literal["circle", "ring", "square", "triangle", "diamond"]

BACKENDS = ("eager", "compile", "onnx", "openvino", "pt2", "trt")
"""Backends with a colour of their own; `report.html` has it by their place here."""

NUM_OTHERS = 2
"""Further colours, for backends that are not known here."""

_SHAPES: dict[str, Shape] = {
    "int8": "diamond",
    "float16": "triangle",
    "bfloat16": "square",
}

SHAPE_WORDS = (
    "\N{BLACK CIRCLE}\N{NO-BREAK SPACE}FP32, "
    "\N{BLACK UP-POINTING TRIANGLE}\N{NO-BREAK SPACE}FP16, "
    "\N{BLACK SQUARE}\N{NO-BREAK SPACE}BF16, \N{BLACK DIAMOND}\N{NO-BREAK SPACE}INT8."
)
"""What the shapes mean, for the note above a chart."""


def colour(backend: str) -> str:
    """Class of a backend's colour; the same in every chart and every run."""
    if backend in BACKENDS:
        return f"b{BACKENDS.index(backend)}"
    name = backend.encode("utf-8", "replace")
    return f"b{len(BACKENDS) + zlib.crc32(name) % NUM_OTHERS}"


def shape(row: Row) -> Shape:
    """Shape for the narrowest type that a row computes in."""
    parts = row.precision.split("+")
    return next((_SHAPES[name] for name in _SHAPES if name in parts), "circle")


def marker(shape: Shape, x: float, y: float) -> str:
    """A mark at a place; about 9 units across."""
    if shape in ("circle", "ring"):
        radius = 5.6 if shape == "ring" else 4
        return f'<circle class="{shape}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
    outline = {
        "square": "m-3.6-3.6h7.2v7.2h-7.2z",
        "triangle": "m0-5 4.8 8.4h-9.6z",
        "diamond": "m0-5.4 5.4 5.4-5.4 5.4-5.4-5.4z",
    }[shape]
    return f'<path class="{shape}" d="M{x:.1f} {y:.1f}{outline}"/>'
