"""Saves the worst images of a proof, so that a person can judge what a figure means."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.export.proof.compare import Comparison, WorstImage
from stargan_deploy.files.images import Pixels, save_image
from stargan_deploy.presentation.grids import image_grid

CELL_PX = 256

MAX_GAIN = 64
"""Greatest amplification of a difference, so that rounding does not fill the image."""


def save_worst_images(folder: Path, comparisons: Iterable[Comparison]) -> tuple[Path, ...]:
    """Saves `worst-<entry point>-<runtime>-<device>.png` for each comparison of images.

    A file shows the input, if it is an image, PyTorch's output, the artefact's, and their
    difference, amplified by the factor in its heading, on mid-grey (128 is no difference).

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
        save_image(_drawing(comparison.worst, verdict.runtime), path)
        paths.append(path)
    return tuple(paths)


def _drawing(worst: WorstImage, runtime: str) -> Image.Image:
    difference, gain = _amplified(worst.expected, worst.actual)
    pixels = [worst.expected, worst.actual, difference]
    headings = ["PyTorch FP32", runtime, f"Difference x{gain}"]
    if worst.source is not None:
        pixels, headings = [worst.source, *pixels], ["Source", *headings]
    return image_grid([[Image.fromarray(p) for p in pixels]], headings, cell_px=CELL_PX)


def _amplified(expected: Pixels, actual: Pixels) -> tuple[Pixels, int]:
    """The difference on mid-grey, and the factor that stretches it to the full range."""
    difference = actual.astype(np.int16) - expected
    greatest = int(np.abs(difference).max())
    gain = min(MAX_GAIN, max(1, 127 // max(greatest, 1)))
    return np.clip(128 + gain * difference, 0, 255).astype(np.uint8), gain
