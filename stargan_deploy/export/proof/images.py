"""Faces to try a model on: any number of synthetic ones, or the photos of a folder."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.card.card import Preprocessing
from stargan_deploy.data.layouts.synthetic import draw_attributes
from stargan_deploy.data.synthetic.portrait import draw_face
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import Pixels, load_image, prepare_photo
from stargan_deploy.files.walk import image_files

Faces = Callable[[int, int, int], Pixels]
"""Face number n at a height and width in pixels: (H, W, 3) in [0, 255]."""


def synthetic_face(number: int, height: int, width: int) -> Pixels:
    """A drawn face, different for every number."""
    face = draw_face(draw_attributes(number), seed=number, size=max(height, width))
    return np.asarray(face.resize((width, height), Image.Resampling.BILINEAR))


def photo_faces(folder: Path, preprocessing: Preprocessing) -> Faces:
    """The photos of a folder and its subfolders, by name, over and over.

    Raises:
        DataError: no such folder, or no images in it; later, a photo that cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder of photos: {folder}")
    paths = image_files(folder)
    if not paths:
        raise DataError(f"{folder} holds no images; name a folder of photos like the model's own")

    @lru_cache(maxsize=64)
    def square(index: int) -> Image.Image:
        photo = load_image(paths[index])
        crop_size, size = preprocessing.crop_size, preprocessing.image_size
        return prepare_photo(photo, crop_size=crop_size, size=size)

    def face(number: int, height: int, width: int) -> Pixels:
        photo = square(number % len(paths))
        return np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR))

    return face
