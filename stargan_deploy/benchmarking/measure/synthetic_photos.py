"""Folders of drawn photos for measuring whole jobs: JPEG files with the weight of real ones."""

from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.export.proof.images import synthetic_face

PHOTO_QUALITY = 90
GRAIN = 4.0
"""Standard deviation of a photo's noise in 8-bit levels, the same in all three colours. At this
quality a drawn face then takes 0.32 bytes a pixel; photos of faces at quality 88 take 0.31."""


def draw_photos(folder: Path, num: int, sides: tuple[int, int]) -> list[Path]:
    """Draws faces of many sizes with a photo's grain, and writes them as JPEG files.

    Args:
        folder: for the files; it is made.
        num: how many.
        sides: least and greatest width and height in pixels.
    """
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    paths = [folder / f"{number:06d}.jpg" for number in range(num)]
    for number, path in enumerate(paths):
        width, height = draws.integers(*sides, 2, endpoint=True).tolist()
        grain = draws.normal(0, GRAIN, (height, width, 1))
        pixels = (synthetic_face(number, height, width) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=PHOTO_QUALITY)
    return paths
