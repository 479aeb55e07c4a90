"""Soft shapes for small drawings: polygons with round corners, tapering curves, a posed canvas.

Drawing coordinates: x from -0.5 (left) to 0.5 (right), y from 0 (top) to 1 (bottom), in image
widths. Colours have the range 0..255.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Colour = tuple[float, ...]
"""Red, green, blue in [0, 255]."""
Points = npt.NDArray[np.float64]
"""Corners of a polygon, (number of points, 2)."""
Line = Sequence[float]
"""One coordinate of several points."""
Curve = tuple[Line, Line]
"""The xs and the ys of several points."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour on the way from one to another."""
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))


def points(xs: Line, ys: Line) -> Points:
    """Pairs of coordinates (N, 2) from their xs and ys."""
    return np.array([xs, ys], dtype=np.float64).T


def smooth(corners: Points) -> Points:
    """Rounds a closed polygon (Chaikin's corner cutting, three rounds)."""
    for _ in range(3):
        after = np.roll(corners, -1, axis=0)
        pairs = np.stack([0.75 * corners + 0.25 * after, 0.25 * corners + 0.75 * after], axis=1)
        corners = pairs.reshape(-1, 2)
    return corners


def symmetric(xs: Line, ys: Line) -> Points:
    """Closes the right half of an outline, from top to bottom, with its mirror image."""
    right = points(xs, ys)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def ellipse(x: float, y: float, radius_x: float, radius_y: float, power: float = 1) -> Points:
    """An ellipse, or below power 1 a rectangle with round corners."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    circle = points(np.cos(angles).tolist(), np.sin(angles).tolist())
    return np.sign(circle) * np.abs(circle) ** power * (radius_x, radius_y) + (x, y)


def ribbon(curve: Curve, width: float) -> Points:
    """A Bezier curve (start, bend, end), `width` thick in its middle and pointed at its ends."""
    start, bend, end = points(*curve)
    t = np.linspace(0, 1, 14)[:, None]
    middle = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    slope = (1 - t) * (bend - start) + t * (end - bend)
    normal = slope[:, ::-1] * (-1, 1) / np.maximum(np.hypot(*slope.T), 1e-9)[:, None]
    offset = normal * (width / 2) * np.sqrt(np.sin(np.pi * t.clip(0.02, 0.98)))
    return np.concatenate([middle + offset, (middle - offset)[::-1]])


class Canvas:
    """A supersampled image, painted in drawing coordinates through the head's pose."""

    def __init__(self, image: Image.Image, *, tilt_rad: float, scale: float, shift: Points) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._width_px = image.width
        cos, sin = math.cos(tilt_rad), math.sin(tilt_rad)
        self._turn = scale * np.array([[cos, sin], [-sin, cos]])
        self._pivot = np.array([0.0, 0.55])
        self._home = self._pivot + shift + (0.5, 0.0)

    def fill(self, points: Points, colour: Colour, alpha: float = 1, twice: bool = False) -> None:
        """Paints a polygon; `twice` adds its mirror image."""
        posed = (points - self._pivot) @ self._turn + self._home
        pixels: list[float] = (posed * self._width_px).ravel().tolist()
        self._draw.polygon(pixels, fill=tuple(round(part) for part in (*colour, 255 * alpha)))
        if twice:
            self.fill(points * (-1, 1), colour, alpha)

    def stroke(
        self, curve: Curve, width: float, colour: Colour, alpha: float = 1, twice: bool = False
    ) -> None:
        """Paints the Bezier curve of a start, a bend and an end."""
        self.fill(ribbon(curve, width), colour, alpha, twice)

    def glow(self, oval: Line, colour: Colour, alpha: float, twice: bool = False) -> None:
        """Paints an ellipse (x, y, radius_x, radius_y) that fades towards its rim."""
        x, y, wide, high = oval
        for share in (1.0, 0.84, 0.68, 0.52, 0.36):
            self.fill(ellipse(x, y, share * wide, share * high), colour, alpha / 4, twice)
