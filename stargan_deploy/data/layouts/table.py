"""Files below one folder with a row of labels each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stargan_deploy.card.labels import NO_LABELS, LabelSpace
from stargan_deploy.data.source import ImageSource, Labels
from stargan_deploy.files.images import load_image


class FileTable(ImageSource):
    """Files below one folder with a row of labels each.

    Args:
        folder: the folder.
        files: paths of the files, or their names below the folder as a label file has them.
        labels: a row each; absent for images without labels.
        label_space: names of the labels.
        description: name of the data set for the card.
    """

    folder: Path

    def __init__(
        self,
        folder: Path,
        files: Sequence[Path | str],
        labels: Labels | None = None,
        *,
        label_space: LabelSpace = NO_LABELS,
        description: str,
    ) -> None:
        self.folder = folder
        self.names = [str(f.relative_to(folder)) if isinstance(f, Path) else f for f in files]
        self.labels = np.zeros((len(files), 0), np.float32) if labels is None else labels
        self.label_space = label_space
        self.description = description

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB."""
        return load_image(self.folder / self.names[index], self.value_range)

    def name(self, index: int) -> str:
        """Path of an image below the folder."""
        return self.names[index]

    def location(self, index: int) -> str:
        """Path of an image."""
        return str(self.folder / self.names[index])
