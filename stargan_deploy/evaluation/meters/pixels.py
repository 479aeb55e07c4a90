"""Measures of pixels: change, distance to the truth, structural similarity.

Shapes: N photos of a group, T targets, S side.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.difference import BEST_PSNR_DB
from stargan_deploy.card.labels import FloatArray
from stargan_deploy.evaluation.meters.base import Found, Group, Meter
from stargan_deploy.files.images import Pixels

Floats = npt.NDArray[np.float32]

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""

WINDOW, SIGMA = 11, 1.5
"""Side and deviation of SSIM's Gaussian window in pixels (Wang et al. 2004, section III.B)."""

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""SSIM's constants for 8-bit levels."""


class Changes(Meter):
    """How far translations are from their photos, and from the truth where it is known."""

    def measure(self, group: Group) -> Found:
        """Values of `change`, or of `l1`, `psnr` and `ssim`."""
        found = {"change": mean_levels(group.images, group.photos)}
        if group.truths is not None:
            truths = group.truths
            found = {
                "l1": mean_levels(group.images, truths),
                "psnr": psnr(group.images, truths),
                "ssim": np.stack([ssim(images, truths) for images in group.images]),
            }
        return found


def mean_levels(a: Pixels, b: Pixels) -> FloatArray:
    """Mean differences (..., N) of images (..., N, S, S, 3) in 8-bit levels."""
    differences = np.abs(a.astype(np.int16) - b)
    means: FloatArray = differences.mean(axis=(-3, -2, -1), dtype=np.float32)
    return means


def psnr(a: Pixels, b: Pixels) -> FloatArray:
    """Peak signal-to-noise ratios (..., N) in dB, at most `BEST_PSNR_DB`."""
    squares = np.square(a.astype(np.float32) - b).mean(axis=(-3, -2, -1))
    least = 255.0**2 / 10 ** (BEST_PSNR_DB / 10)
    decibels: FloatArray = 10 * np.log10(255.0**2 / np.maximum(squares, least))
    return decibels


def ssim(a: Pixels, b: Pixels) -> FloatArray:
    """Structural similarity (N,) of images (N, S, S, 3) by their luminance.

    As in Wang et al. (2004, equation 13): means, variances and covariance in windows of 11 pixels
    with a Gaussian of 1.5, averaged over the windows that lie inside the image; smaller images
    have a single window of their size.
    """
    x, y = a @ LUMINANCE, b @ LUMINANCE
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    both = _smooth(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + C1) * (2 * both + C2)
    similar /= (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    means: FloatArray = similar.mean(axis=(1, 2), dtype=np.float32)
    return means


def _smooth(grey_NHW: Floats) -> Floats:
    """Weighted means of all windows that lie inside (N, S', S')."""
    window = _gaussian(min(WINDOW, grey_NHW.shape[1]))
    for axis in (1, 2):
        views = np.lib.stride_tricks.sliding_window_view(grey_NHW, len(window), axis)
        grey_NHW = np.asarray(views @ window)
    return grey_NHW


@cache
def _gaussian(length: int) -> Floats:
    places = np.arange(length) - (length - 1) / 2
    weights = np.exp(-(places**2) / (2 * SIGMA**2))
    scaled: Floats = (weights / weights.sum()).astype(np.float32)
    return scaled
