"""Where the head and the hair of an aligned face are, so that a change stays on them.

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
"""Side of the tile in which outlines are looked for, since they are about a pixel wide there."""

QUIET = 16.0
"""Colour steps between neighbours of that tile that are no outline, such as strands of hair."""

OUTLINE = (15.0, 40.0)
"""Sum of what colour steps have above that, on the way from hair or face to a pixel, up to which
the pixel belongs to the head, and from which it does not."""

UNLIKE = 3.0
"""What a step costs for each deviation from the colour of hair or skin, after the first 2.5."""

GRAIN = 20.0
"""Added to deviations of colours, for hair that is all of one."""

DEPTH = 10.0
"""What the way across the whole tile costs."""

NUM_SWEEPS = 4
"""Ways that turn more often than this are not followed."""


def smooth_step(values: Floats, low: float, high: float) -> Floats:
    """0 up to `low`, 1 from `high`, smooth between (the cubic 3t^2 - 2t^3)."""
    t = ((values - low) / (high - low)).clip(0, 1)
    step: Floats = t * t * (3 - 2 * t)
    return step


def head_mask(face: AlignedFace) -> Floats:
    """1 on head and hair, 0 on what is behind and below them, (S, S).

    The hair is what can be reached from above the forehead without crossing an outline, and so
    is the skin from the face, close to it. Where there is no outline, what is behind the head
    counts as hair: a change that should not be is better than hair in two colours.
    """
    small = _resized(face, min(len(face.pixels), COARSE_SIDE))
    inner = oval(small, 0.4, (0.75, 0.95))
    hair = _way_from(_crown(small), small.pixels)
    near = OUTLINE[1] * smooth_step(oval(small, 0.4, (1.3, 1.6)), 0.7, 1.15)
    skin = np.maximum(_way_from(inner < 1, small.pixels), near)
    head = 1 - np.minimum(
        smooth_step(np.minimum(hair, skin), *OUTLINE), smooth_step(inner, 1.0, 1.3)
    )
    levels = Image.fromarray((head * 255).astype(np.uint8))
    # Closes gaps, and takes in the outline itself.
    levels = levels.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.MinFilter(3))
    levels = levels.resize(face.pixels.shape[:2], Image.Resampling.BILINEAR)
    return np.asarray(levels, np.float32) / np.float32(255)


def _resized(face: AlignedFace, size: int) -> AlignedFace:
    """A tile with another side; its matrix stays behind."""
    pixels = Image.fromarray(face.pixels).resize((size, size), Image.Resampling.BOX)
    factor = size / len(face.pixels)
    return replace(face, pixels=np.asarray(pixels), landmarks=face.landmarks * factor)


def _crown(face: AlignedFace) -> npt.NDArray[np.bool_]:
    """The hair above the forehead (S, S), or the forehead of who has none."""
    eyes, _, wide, high = _measures(face)
    x, y = ((np.arange(len(face.pixels)) + 0.5 - centre) / max(wide, high) for centre in eyes)
    crown: npt.NDArray[np.bool_] = ((y > -1.5) & (y < -1.1))[:, None] & (np.abs(x) < 0.5)
    return crown


def _way_from(start: npt.NDArray[np.bool_], pixels: Pixels) -> Floats:
    """The least sum of costs on a way from any start to each pixel, (S, S).

    A step costs what the colour changes, and what it is unlike the colours of the start.
    """
    if not start.any():
        return np.full(start.shape, np.inf, np.float32)
    colours = pixels.astype(np.float32)
    away = np.abs(colours - np.median(colours[start], axis=0))
    unlike = np.maximum((away / (np.median(away[start], axis=0) + GRAIN)).max(-1) - 2.5, 0)
    enter = UNLIKE * unlike + np.float32(DEPTH / len(pixels))
    way = np.where(start & (unlike == 0), 0, np.inf).astype(np.float32)
    down, right = (np.maximum(np.abs(np.diff(colours, axis=k)).max(-1) - QUIET, 0) for k in (0, 1))
    for _ in range(NUM_SWEEPS):
        _sweep(way, down, enter)
        _sweep(way.T, right.T, enter.T)
    return way


def _sweep(way: Floats, cross: Floats, enter: Floats) -> None:
    """Shortens ways (S, S) down and up, by what it costs to cross from row to row and to enter."""
    for row in range(1, len(way)):
        np.minimum(way[row], way[row - 1] + cross[row - 1] + enter[row], out=way[row])
    for row in range(len(way) - 2, -1, -1):
        np.minimum(way[row], way[row + 1] + cross[row] + enter[row], out=way[row])


def oval(face: AlignedFace, down: float, radii: tuple[float, float]) -> Floats:
    """Distances (S, S) of the pixels from a middle of the face, 1 on an ellipse.

    Args:
        face: its landmarks give the place and the scale.
        down: where the middle lies, from 0 between the eyes to 1 at the mouth.
        radii: the horizontal one in distances between the eyes, which are shorter in a face that
            looks aside, and the vertical one in distances from eyes to mouth.
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
    """The points between the eyes and in the mouth; distances of the eyes, and of the points."""
    left_eye, right_eye, mouth = eyes_and_mouth(face.landmarks)
    eyes = (left_eye + right_eye) / 2
    return eyes, mouth, max(1.0, math.dist(left_eye, right_eye)), max(1.0, math.dist(eyes, mouth))
