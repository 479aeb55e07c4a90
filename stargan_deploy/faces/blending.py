"""Blends translated faces back into their photo, at the photo's full resolution.

A tile is far coarser than the photo, so a pasted tile would look blurred. Instead, the *change*
from the aligned input to its translation is applied to the photo, and that not as pixels but as a
recipe: around each pixel of the tile, the change is fitted as a linear function of the input's
colours (the guided filter of He et al., PAMI 2013, with colours as the guide). Evaluated on the
photo's own pixels, the recipe recolours hair strand by strand, keeps the pores of the skin, and
follows edges that the tile cannot show. The part of the change that no recipe explains, for example
glasses, is added unchanged.

Colours are floats in [0, 255]. Shapes: S side of a tile, B and W rows and columns of a band of the
photo.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.faces.alignment import (
    AlignedFace,
    Matrix,
    invert,
    scale_of,
    transform,
)
from stargan_deploy.faces.masks import head_mask, oval, smooth_step
from stargan_deploy.files.images import Pixels

Floats = npt.NDArray[np.float32]

BAND_ROWS = 128
"""Rows of the photo that are blended at a time; bounds the memory."""

MARGIN = 3
"""Pixels around a tile that the bicubic filter may read."""

FEATHER = 0.1
"""Width of the edge over which a face fades out, in sides of the tile."""

RADIUS = 2
"""Radius of the square window in which one recipe is fitted, in pixels of the tile."""

NOISE = 50.0
"""Variance of colours below which a window counts as flat, so that its recipe is just a shift."""

GAINS = (0.1, 2.0)
"""Least and greatest factor by which contrast follows a change of brightness."""

DARK = 8.0
"""Offset added to brightnesses before their ratio, since black has no contrast to scale."""

MAX_DRIFT = 12.0
"""Greatest colour shift of the skin that is taken for the generator's error, and undone."""

CHANGED = (3.0, 10.0)
"""Mean change around a pixel up to which it is dropped as noise, and from which it is kept."""

UNEXPLAINED = (4.0, 12.0)
"""The same limits for the part that no recipe explains, as root mean square."""


def blend_faces(photo: Image.Image, faces: Sequence[tuple[AlignedFace, Pixels]]) -> Image.Image:
    """Blends translated faces into a photo; unchanged faces leave every pixel as it was.

    Where faces overlap, the one whose centre is nearer dominates; their order does not matter.
    Time and memory grow with the area of the faces, not of the photo.

    Args:
        photo: RGB.
        faces: faces cut out of this photo, with their translations (S, S, 3) in [0, 255].

    Returns:
        A new RGB image of the same size.
    """
    layers = [_Layer.build(face, translated) for face, translated in faces]
    # Always in the same order: the last bit of a sum of floats depends on it.
    layers = sorted(layers, key=lambda layer: layer.to_tile.tolist())
    result = photo.copy()
    for top in range(0, photo.height, BAND_ROWS):
        rows = (top, min(top + BAND_ROWS, photo.height))
        touched = [layer for layer in layers if layer.box[1] < rows[1] and rows[0] < layer.box[3]]
        if touched:
            _blend_band(result, photo, touched, rows)
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layer:
    """A face's change, ready to be sampled at the photo's resolution."""

    planes: Floats
    """(13, S', S'), a margin included: the recipe's nine factors (from red to red, from red to
    green, ...), its three shifts, and the mask in [0, 1]."""
    to_tile: Matrix
    """(2, 3), from the photo's pixels to the planes'."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the part of the plane that the tile covers, in the photo."""

    @classmethod
    def build(cls, face: AlignedFace, translated: Pixels) -> Self:
        recipe = _fit_recipe(face, translated)
        mask = _mask(len(face.pixels))
        planes = np.concatenate([recipe, mask[None]]).astype(np.float32)
        planes, matrix = _reduced(planes, face.matrix)
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + MARGIN])
        padding = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
        recipe, mask = np.pad(planes[:-1], padding, mode="edge"), np.pad(planes[-1:], padding)
        return cls(planes=np.concatenate([recipe, mask]), to_tile=matrix, box=_outline(face))


def _outline(face: AlignedFace) -> tuple[int, int, int, int]:
    side = len(face.pixels)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]])
    outline = transform(invert(face.matrix), corners)
    (left, top), (right, bottom) = np.floor(outline.min(0)), np.ceil(outline.max(0))
    return int(left), int(top), int(right), int(bottom)


def _blend_band(
    result: Image.Image, photo: Image.Image, layers: Sequence[_Layer], rows: tuple[int, int]
) -> None:
    """Blends the part of a band of rows that faces touch."""
    left = max(0, min(layer.box[0] for layer in layers))
    right = min(photo.width, max(layer.box[2] for layer in layers))
    if left >= right:
        return
    band = np.asarray(photo.crop((left, rows[0], right, rows[1])))
    colours_CBW = np.ascontiguousarray(band.transpose(2, 0, 1), np.float32)
    change_CBW = np.zeros_like(colours_CBW)
    weight_BW = np.full(band.shape[:2], 1e-6, np.float32)
    for layer in layers:
        x0, x1 = max(left, layer.box[0]), min(right, layer.box[2])
        if x0 < x1:
            part = (..., slice(x0 - left, x1 - left))
            planes = _sample(layer, (x0, rows[0]), (x1 - x0, rows[1] - rows[0]))
            mask_BW = planes[-1].clip(0, 1)
            change_CBW[part] += mask_BW * mask_BW * _apply_recipe(planes, colours_CBW[part])
            weight_BW[part] += mask_BW
    blended_CBW = np.rint((colours_CBW + change_CBW / weight_BW).clip(0, 255)).astype(np.uint8)
    result.paste(Image.fromarray(blended_CBW.transpose(1, 2, 0).copy()), (left, rows[0]))


def _sample(layer: _Layer, corner: tuple[int, int], size: tuple[int, int]) -> list[Floats]:
    """The planes at the pixels of a part of the photo; zero outside of the tile.

    They are rotated to the photo's axes on a coarse grid and then enlarged row by row and column
    by column, which is ten times faster than rotating them at full size.

    Args:
        layer: the layer.
        corner: top left corner of the part; its y is a multiple of `BAND_ROWS`, so that the grids
            of all bands fit together.
        size: width and height of the part.
    """
    step = _grid_step(layer)
    grid = (math.ceil(size[0] / step) + 2 * MARGIN, math.ceil(size[1] / step) + 2 * MARGIN)
    place = np.column_stack([np.eye(2) * step, np.array(corner) - MARGIN * step])
    to_tile = layer.to_tile[:, :2] @ place
    to_tile[:, 2] += layer.to_tile[:, 2]
    inner = (MARGIN, MARGIN, MARGIN + size[0] / step, MARGIN + size[1] / step)
    turn, bicubic = Image.Transform.AFFINE, Image.Resampling.BICUBIC
    turned = (
        Image.fromarray(plane).transform(grid, turn, tuple(to_tile.ravel()), bicubic)
        for plane in layer.planes
    )
    return [np.asarray(image.resize(size, bicubic, box=inner)) for image in turned]


def _grid_step(layer: _Layer) -> int:
    """Pixels of the photo, a power of two, per half a pixel of the tile or less."""
    pixels = 1 / (2 * scale_of(layer.to_tile))
    return int(2 ** math.floor(math.log2(min(max(pixels, 1), BAND_ROWS))))


def _apply_recipe(planes: Sequence[Floats], colours_CBW: Floats) -> Floats:
    """The change (3, B, W) of colours (3, B, W)."""
    changes = [plane.copy() for plane in planes[9:12]]
    for factor, (source, out) in zip(planes[:9], np.ndindex(3, 3), strict=True):
        changes[out] += factor * colours_CBW[source]
    return np.stack(changes)


def _reduced(planes: Floats, matrix: Matrix) -> tuple[Floats, Matrix]:
    """The planes of a face that is smaller in its photo, averaged to about that size."""
    side = planes.shape[-1]
    size = math.ceil(side / max(1.0, scale_of(matrix)))
    if size == side:
        return planes, matrix
    images = [Image.fromarray(plane).resize((size, size), Image.Resampling.BOX) for plane in planes]
    return np.stack([np.asarray(image) for image in images]), matrix * (size / side)


def _fit_recipe(face: AlignedFace, translated: Pixels) -> Floats:
    """Nine factors and three shifts (12, S, S) that map the input's colours to their change."""
    colours = face.pixels.astype(np.float32)
    change = _wanted_change(face, translated)
    factors, shifts = _fit_windows(colours, change)
    factors, shifts = _window_mean(factors), _window_mean(shifts)
    explained = (colours[..., None, :] @ factors)[..., 0, :] + shifts
    shifts = shifts + _cored_rest(change - explained)
    recipe = np.concatenate([factors.reshape(*shifts.shape[:2], 9), shifts], -1)
    return np.ascontiguousarray(recipe.transpose(2, 0, 1))


def _fit_windows(colours: Floats, change: Floats) -> tuple[Floats, Floats]:
    """The factors (S, S, 3, 3) and shifts (S, S, 3) that fit best around each pixel."""
    identity = np.eye(3, dtype=np.float32)
    mean, mean_change = _window_mean(colours), _window_mean(change)
    variance = _window_mean(colours[..., :, None] * colours[..., None, :])
    variance = variance - mean[..., :, None] * mean[..., None, :]
    common = _window_mean(colours[..., :, None] * change[..., None, :])
    common = common - mean[..., :, None] * mean_change[..., None, :]
    # Where the tile is flat, the photo may not be: contrast must follow the brightness.
    gain: Floats = ((mean + mean_change + DARK) / (mean + DARK)).clip(*GAINS) - 1
    common = common + NOISE * gain[..., None] * identity
    factors: Floats = np.linalg.solve(variance + NOISE * identity, common).astype(np.float32)
    return factors, mean_change - (mean[..., None, :] @ factors)[..., 0, :]


def _wanted_change(face: AlignedFace, translated: Pixels) -> Floats:
    """The change (S, S, 3) without the generator's colour drift and noise."""
    change = translated.astype(np.float32) - face.pixels
    skin = oval(face, 0.5, (0.65, 0.8)) < 1
    if skin.any():
        change = change - np.median(change[skin], axis=0).clip(-MAX_DRIFT, MAX_DRIFT)
    size = np.abs(_window_mean(change)).max(-1)
    return change * (smooth_step(size, *CHANGED) * head_mask(face))[..., None]


def _cored_rest(rest: Floats) -> Floats:
    """The unexplained part, where it is more than noise, without checkerboard patterns."""
    rest = _smooth(rest)
    size = np.sqrt(_window_mean((rest * rest).mean(-1, keepdims=True), radius=1))
    return rest * smooth_step(size, *UNEXPLAINED)


def _window_mean(values: Floats, radius: int = RADIUS) -> Floats:
    """Means over square windows of values (S, S, ...); at the edges, values are repeated."""
    for axis in (0, 1):
        padding = [(radius, radius) if i == axis else (0, 0) for i in range(values.ndim)]
        padded = np.pad(values, padding, mode="edge")
        length = values.shape[axis]
        shifted = (np.take(padded, range(k, k + length), axis) for k in range(2 * radius + 1))
        values = sum(shifted, np.zeros_like(values)) / np.float32(2 * radius + 1)
    return values


def _smooth(values: Floats) -> Floats:
    """Values (S, S, 3) without alternation from pixel to pixel (weights 1, 2, 1)."""
    for axis in (0, 1):
        padded = np.pad(values, [(int(axis == k),) * 2 for k in range(3)], mode="edge")
        first, middle, last = (np.take(padded, range(k, k + len(values)), axis) for k in range(3))
        values = (first + 2 * middle + last) / np.float32(4)
    return values


def _mask(side: int) -> Floats:
    """1 inside the tile, 0 at its edges, (S, S)."""
    inset = np.minimum(np.arange(side) + 0.5, side - 0.5 - np.arange(side)) / side
    edge = smooth_step(inset.astype(np.float32), 0.0, FEATHER)
    return edge[:, None] * edge
