"""Synthetic faces: a data set of drawn portraits with CelebA's attribute names.

Image `index` of a seed is always the same image. Pixels have the range 0..255.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import Groups, multilabel_space
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import DataLayout
from stargan_deploy.data.source import ImageSource, Split
from stargan_deploy.data.synthetic.portrait import ATTRIBUTES, HAIR_COLOURS, draw_face
from stargan_deploy.errors import LabelError, unknown_name
from stargan_deploy.files.atomic import atomic_path, write_text

MIN_SIZE = 32
"""Least side of a face in pixels; smaller training images are made of these."""

HELD_OUT_SHARE = 20
"""One face is held out for so many to train on, but at least `MIN_HELD_OUT`."""

MIN_HELD_OUT = 64


def draw_attributes(seed: int) -> dict[str, bool]:
    """Draws one hair colour and, by even chances (glasses 30 in 100), the other attributes."""
    rng = np.random.default_rng([seed, 2])
    hair = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))]
    chances = {"Male": 0.5, "Young": 0.5, "Smiling": 0.5, "Eyeglasses": 0.3}
    drawn = {name: bool(rng.random() < chance) for name, chance in chances.items()}
    return {name: name == hair for name in HAIR_COLOURS} | drawn


class SyntheticFaces(ImageSource):
    """A data set of drawn faces; image `index` of a seed is the same in a set of any length.

    Args:
        num_images: length of the set.
        size: width and height of an image in pixels.
        seed: different seeds give different people.
        attributes: the attributes to tell of each face, in label order; empty takes all.
        exclusive: groups of attributes that exclude one another, besides the hair colours.

    Raises:
        LabelError: an attribute that the faces do not have.
    """

    description = "synthetic faces"

    def __init__(
        self,
        num_images: int,
        *,
        size: int = 64,
        seed: int = 0,
        attributes: Sequence[str] = (),
        exclusive: Groups = (),
    ) -> None:
        if num_images < 0 or seed < 0:
            raise ValueError(f"num_images and seed are at least 0, not {num_images} and {seed}")
        names = tuple(attributes) or ATTRIBUTES
        for name in names:
            if name not in ATTRIBUTES:
                where = "the synthetic faces"
                raise LabelError(unknown_name("attribute", name, ATTRIBUTES, where=where))
        self._num_images, self._size, self._seed = num_images, size, seed
        self.label_space = multilabel_space(names, name="synthetic", exclusive=exclusive)
        faces = (draw_attributes(self._face_seed(index)) for index in range(num_images))
        rows = [[face[name] for name in names] for face in faces]
        self.labels = np.array(rows, np.float32).reshape(-1, len(names))

    def __len__(self) -> int:
        return self._num_images

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


class SyntheticLayout(DataLayout):
    """Faces drawn from a seed, without any folder."""

    name = "synthetic"
    recipe = "demo"
    summary = "synthetic faces, drawn (data.kind = synthetic)"
    takes_groups = True

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:  # noqa: ARG002
        """Draws a split; the held-out faces are of other people."""
        num_held_out = max(MIN_HELD_OUT, config.num_synthetic // HELD_OUT_SHARE)
        return SyntheticFaces(
            config.num_synthetic if split == "train" else num_held_out,
            size=max(config.image_size, MIN_SIZE),
            seed={"train": 0, "test": 1}[split],
            attributes=config.attributes,
            exclusive=config.exclusive,
        )


def write_celeba(folder: Path, num_images: int, *, size: int = 64, seed: int = 0) -> None:
    """Writes a set in CelebA's layout: `images/000001.png` ... and `list_attr_celeba.txt`.

    The table is written last, so that a folder with a table is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    faces = SyntheticFaces(num_images, size=size, seed=seed)
    for index in range(len(faces)):
        with atomic_path(folder / "images" / faces.name(index)) as temporary:
            faces.load(index).save(temporary, format="PNG")
    signs = (faces.labels * 2 - 1).astype(int).tolist()
    rows = [" ".join([faces.name(index), *map(str, row)]) for index, row in enumerate(signs)]
    table = [str(len(faces)), " ".join(ATTRIBUTES), *rows]
    write_text(folder / "list_attr_celeba.txt", "\n".join(table) + "\n")
