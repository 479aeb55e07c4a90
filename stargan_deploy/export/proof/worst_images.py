"""Saves the pictures that came out worst, so that a person can judge what a figure means."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.export.proof.compare import Comparison, WorstImage
from stargan_deploy.files.images import Pixels, save_image
from stargan_deploy.presentation.grids import image_grid

CELL_PX = 256

MAX_GAIN = 64
"""Most that a difference is amplified by, so that rounding does not fill the picture."""


def save_worst(folder: Path, comparisons: Iterable[Comparison]) -> tuple[Path, ...]:
    """Saves `worst-<entry point>-<runtime>-<device>.png` for each comparison of pictures.

    A file shows the face that went in, if any, PyTorch's picture, the artefact's, and their
    difference, amplified by the factor in its heading and laid on mid-grey (128 is no difference).

    Raises:
        OutputError: the folder cannot be written.
    """
    paths = []
    for comparison in comparisons:
        if comparison.worst is None:
            continue
        verdict = comparison.verdict
        device = verdict.device.replace(":", "")
        path = folder / f"worst-{verdict.entry_point}-{verdict.runtime}-{device}.png"
        save_image(_picture(comparison.worst, verdict.runtime), path)
        paths.append(path)
    return tuple(paths)


def _picture(worst: WorstImage, runtime: str) -> Image.Image:
    difference, gain = _amplified(worst.expected, worst.actual)
    pixels = [worst.expected, worst.actual, difference]
    headings = ["PyTorch FP32", runtime, f"Difference x{gain}"]
    if worst.source is not None:
        pixels, headings = [worst.source, *pixels], ["Source", *headings]
    return image_grid([[Image.fromarray(p) for p in pixels]], headings, cell_px=CELL_PX)


def _amplified(expected: Pixels, actual: Pixels) -> tuple[Pixels, int]:
    """The difference on mid-grey, and the factor that brings its greatest value to the end."""
    difference = actual.astype(np.int16) - expected
    greatest = int(np.abs(difference).max())
    gain = min(MAX_GAIN, max(1, 127 // max(greatest, 1)))
    return np.clip(128 + gain * difference, 0, 255).astype(np.uint8), gain
