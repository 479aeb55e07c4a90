"""Image sources made of files and a table of labels, and the choice of columns from one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import LabelSpace, multilabel_space
from stargan_deploy.data.layouts.synthetic import SyntheticFaces
from stargan_deploy.data.source import Labels
from stargan_deploy.errors import LabelError, unknown_name
from stargan_deploy.files.images import load_image


class FileTable:
    """Files below one folder with a row of labels each; satisfies `ImageSource`."""

    panels: tuple[str, ...] = ("image",)

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        labels: Labels,
        *,
        label_space: LabelSpace,
        description: str,
    ) -> None:
        self.folder = folder
        self.names = list(names)
        self.labels = labels
        self.label_space = label_space
        self.description = description

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB."""
        return load_image(self.folder / self.names[index])

    def name(self, index: int) -> str:
        """Path of an image below the folder."""
        return self.names[index]


class SyntheticSource:
    """Synthetic faces with some or all of their attributes; satisfies `ImageSource`."""

    description = "synthetic faces"
    panels: tuple[str, ...] = ("image",)

    def __init__(self, faces: SyntheticFaces, attributes: Sequence[str]) -> None:
        columns = attribute_columns(faces.attributes, attributes, where="the synthetic faces")
        self._faces = faces
        self.labels = faces.labels[:, columns].astype(np.float32)
        self.label_space = multilabel_space(attributes, name="synthetic")

    def __len__(self) -> int:
        return len(self._faces)

    def load(self, index: int) -> Image.Image:
        """Draws one face."""
        return self._faces.load(index)

    def name(self, index: int) -> str:
        """The name a face has when written to a folder."""
        return self._faces.name(index)


def select_attributes(faces: SyntheticFaces, attributes: Sequence[str]) -> SyntheticSource:
    """Synthetic faces as an image source; no attributes means all of them."""
    return SyntheticSource(faces, tuple(attributes) or faces.attributes)


def attribute_columns(known: Sequence[str], wanted: Sequence[str], *, where: str) -> list[int]:
    """The columns of wanted attributes in a table of known ones.

    Raises:
        LabelError: a wanted attribute that the table does not have.
    """
    for name in wanted:
        if name not in known:
            raise LabelError(unknown_name("attribute", name, known, where=where))
    return [list(known).index(name) for name in wanted]
