"""Mask of the head and hair of an aligned face, which confines a change to them.

Colours are in [0, 255]. Shapes: S side of a tile.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from stargan_deploy.faces.alignment import AlignedFace, Points, eyes_and_mouth
from stargan_deploy.files.images import Pixels

Floats = npt.NDArray[np.float32]

COARSE_SIDE = 64
"""Side of the reduced tile in which outlines are sought; they are about a pixel wide there."""

QUIET = 16.0
"""Colour step between neighbours of that tile that is not an outline: strands of hair."""

OUTLINE = (15.0, 40.0)
"""Sum of the colour steps above that on the path from hair or face to a pixel: up to the first
limit the pixel belongs to the head, from the second on it does not."""

UNLIKE = 3.0
"""Cost of a step per deviation from the colour of hair or skin, after the first 2.5."""

GRAIN = 20.0
"""Offset added to colour deviations, for hair of a single colour."""

DEPTH = 10.0
"""Cost of a path across the whole tile."""

NUM_SWEEPS = 4
"""Greatest number of turns of a path."""


def smooth_step(values: Floats, low: float, high: float) -> Floats:
    """0 up to `low`, 1 from `high`, smooth between (the cubic 3t^2 - 2t^3)."""
    t = ((values - low) / (high - low)).clip(0, 1)
    step: Floats = t * t * (3 - 2 * t)
    return step


def head_mask(face: AlignedFace) -> Floats:
    """1 on head and hair, 0 behind and below them, (S, S).

    Hair is everything that can be reached from above the forehead without crossing an outline;
    skin likewise from the face, close to it. Where there is no outline, the background counts as
    hair: an unwanted change is better than hair in two colours.
    """
    small = _resized(face, min(len(face.pixels), COARSE_SIDE))
    inner = oval(small, 0.4, (0.75, 0.95))
    hair = _path_costs(_crown(small), small.pixels)
    near = OUTLINE[1] * smooth_step(oval(small, 0.4, (1.3, 1.6)), 0.7, 1.15)
    skin = np.maximum(_path_costs(inner < 1, small.pixels), near)
    head = 1 - np.minimum(
        smooth_step(np.minimum(hair, skin), *OUTLINE), smooth_step(inner, 1.0, 1.3)
    )
    levels = Image.fromarray((head * 255).astype(np.uint8))
    # Closes gaps, and includes the outline itself.
    levels = levels.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.MinFilter(3))
    levels = levels.resize(face.pixels.shape[:2], Image.Resampling.BILINEAR)
    return np.asarray(levels, np.float32) / np.float32(255)


def _resized(face: AlignedFace, size: int) -> AlignedFace:
    """A tile with another side; its matrix is not adapted."""
    pixels = Image.fromarray(face.pixels).resize((size, size), Image.Resampling.BOX)
    factor = size / len(face.pixels)
    return replace(face, pixels=np.asarray(pixels), landmarks=face.landmarks * factor)


def _crown(face: AlignedFace) -> npt.NDArray[np.bool_]:
    """The hair above the forehead (S, S), or the forehead where there is none."""
    eyes, _, wide, high = _measures(face)
    x, y = ((np.arange(len(face.pixels)) + 0.5 - centre) / max(wide, high) for centre in eyes)
    crown: npt.NDArray[np.bool_] = ((y > -1.5) & (y < -1.1))[:, None] & (np.abs(x) < 0.5)
    return crown


def _path_costs(start: npt.NDArray[np.bool_], pixels: Pixels) -> Floats:
    """Least cost of a path from any start to each pixel, (S, S).

    A step costs the change in colour, plus the deviation from the colours of the start.
    """
    if not start.any():
        return np.full(start.shape, np.inf, np.float32)
    colours = pixels.astype(np.float32)
    away = np.abs(colours - np.median(colours[start], axis=0))
    unlike = np.maximum((away / (np.median(away[start], axis=0) + GRAIN)).max(-1) - 2.5, 0)
    enter = UNLIKE * unlike + np.float32(DEPTH / len(pixels))
    costs = np.where(start & (unlike == 0), 0, np.inf).astype(np.float32)
    down, right = (np.maximum(np.abs(np.diff(colours, axis=k)).max(-1) - QUIET, 0) for k in (0, 1))
    for _ in range(NUM_SWEEPS):
        _sweep(costs, down, enter)
        _sweep(costs.T, right.T, enter.T)
    return costs


def _sweep(costs: Floats, cross: Floats, enter: Floats) -> None:
    """Relaxes path costs (S, S) down and up, by the costs to cross between rows and to enter."""
    for row in range(1, len(costs)):
        np.minimum(costs[row], costs[row - 1] + cross[row - 1] + enter[row], out=costs[row])
    for row in range(len(costs) - 2, -1, -1):
        np.minimum(costs[row], costs[row + 1] + cross[row] + enter[row], out=costs[row])


def oval(face: AlignedFace, down: float, radii: tuple[float, float]) -> Floats:
    """Distances (S, S) of the pixels from a centre of the face, 1 on an ellipse.

    Args:
        face: its landmarks give position and scale.
        down: position of the centre, from 0 between the eyes to 1 at the mouth.
        radii: horizontal radius in distances between the eyes, which are shorter in a turned head,
            and vertical radius in distances from eyes to mouth.
    """
    eyes, mouth, wide, high = _measures(face)
    middle = eyes + down * (mouth - eyes)
    offsets = (np.arange(len(face.pixels)) + 0.5 - centre for centre in middle)
    x, y = (
        line / (unit * radius)
        for line, unit, radius in zip(offsets, (wide, high), radii, strict=True)
    )
    distance: Floats = np.hypot(x, y[:, None]).astype(np.float32)
    return distance


def _measures(face: AlignedFace) -> tuple[Points, Points, float, float]:
    """The points between the eyes and in the mouth; the distance of the eyes, and of the points."""
    left_eye, right_eye, mouth = eyes_and_mouth(face.landmarks)
    eyes = (left_eye + right_eye) / 2
    return eyes, mouth, max(1.0, math.dist(left_eye, right_eye)), max(1.0, math.dist(eyes, mouth))
