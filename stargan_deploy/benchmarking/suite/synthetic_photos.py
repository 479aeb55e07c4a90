"""Folders of synthetic photos to measure whole jobs on: JPEG files as large as real ones."""

from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.export.proof.images import synthetic_face

PHOTO_QUALITY = 90
GRAIN = 4.0
"""Standard deviation of a photo's noise in 8-bit levels, the same in all three colours. At this
quality a synthetic face then takes 0.32 bytes per pixel; photos of faces at quality 88 take 0.31.
"""


def write_synthetic_photos(folder: Path, num: int, sides: tuple[int, int]) -> list[Path]:
    """Writes synthetic faces of many sizes with a photo's grain as JPEG files.

    Args:
        folder: for the files; it is created.
        num: how many.
        sides: smallest and largest width and height in pixels.
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
