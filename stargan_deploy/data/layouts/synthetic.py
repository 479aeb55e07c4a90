"""Synthetic faces: a data set of drawn portraits with CelebA's attribute names.

Image `index` of a seed is always the same picture. Pixels have the range 0..255.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.data.synthetic.portrait import ATTRIBUTES, HAIR_COLOURS, draw_face
from stargan_deploy.files.atomic import atomic_path, write_text


def draw_attributes(seed: int) -> dict[str, bool]:
    """Draws one hair colour and, by even chances (glasses 30 in 100), the other attributes."""
    rng = np.random.default_rng([seed, 2])
    hair = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))]
    chances = {"Male": 0.5, "Young": 0.5, "Smiling": 0.5, "Eyeglasses": 0.3}
    drawn = {name: bool(rng.random() < chance) for name, chance in chances.items()}
    return {name: name == hair for name in HAIR_COLOURS} | drawn


class SyntheticFaces:
    """A data set of drawn faces; image `index` of a seed is the same in a set of any length.

    Args:
        num_images: Length of the set.
        size: Width and height of an image in pixels.
        seed: Different seeds give different people.
    """

    def __init__(self, num_images: int, *, size: int = 64, seed: int = 0) -> None:
        if num_images < 0 or seed < 0:
            raise ValueError(f"num_images and seed are at least 0, not {num_images} and {seed}")
        self._num_images, self._size, self._seed = num_images, size, seed

    def __len__(self) -> int:
        return self._num_images

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of the columns of `labels`."""
        return ATTRIBUTES

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """The attributes of all images, shape (num_images, 7), each 0 or 1."""
        seeds = (self._face_seed(index) for index in range(len(self)))
        rows = [list(draw_attributes(seed).values()) for seed in seeds]
        return np.array(rows, dtype=np.int64).reshape(-1, len(ATTRIBUTES))

    def load(self, index: int) -> Image.Image:
        """Draws an image: 8-bit RGB, pixel range 0..255."""
        seed = self._face_seed(index)
        return draw_face(draw_attributes(seed), seed=seed, size=self._size)

    def name(self, index: int) -> str:
        """The image's file name in CelebA's style, which counts from one."""
        return f"{index + 1:06d}.png"

    def _face_seed(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of a set of {len(self)}")
        words = np.random.SeedSequence(self._seed, spawn_key=(index,)).generate_state(1, np.uint64)
        return int(words[0])


def write_celeba(folder: Path, num_images: int, *, size: int = 64, seed: int = 0) -> None:
    """Writes a set in CelebA's layout: `images/000001.png` ... and `list_attr_celeba.txt`.

    The table is written last, so that a folder with a table is complete.

    Raises:
        OutputError: The folder cannot be written.
    """
    faces = SyntheticFaces(num_images, size=size, seed=seed)
    for index in range(len(faces)):
        with atomic_path(folder / "images" / faces.name(index)) as temporary:
            faces.load(index).save(temporary, format="PNG")
    signs = (faces.labels * 2 - 1).tolist()
    rows = [" ".join([faces.name(index), *map(str, row)]) for index, row in enumerate(signs)]
    table = [str(len(faces)), " ".join(ATTRIBUTES), *rows]
    write_text(folder / "list_attr_celeba.txt", "\n".join(table) + "\n")
