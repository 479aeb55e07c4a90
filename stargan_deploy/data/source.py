"""What a data set is to the trainer, and the settings that name one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.errors import DataError
from stargan_deploy.images import IMAGE_SUFFIXES
from stargan_deploy.labels import LabelSpace

Labels = npt.NDArray[np.float32]
Split = Literal["train", "test"]


class ImageSource(Protocol):
    """Labelled images in a fixed order."""

    description: str
    """What the images are, for the card, such as "synthetic faces"."""
    label_space: LabelSpace
    labels: Labels
    """Labels (N, K) of zeros and ones in the order of the label space."""

    def __len__(self) -> int:
        """Number N of images."""

    def load(self, index: int) -> Image.Image:
        """Decodes one image to RGB.

        Raises:
            ImageError: it cannot be read.
        """

    def name(self, index: int) -> str:
        """File name of an image inside the data set."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where images and labels come from and how they are prepared."""

    kind: Literal["auto", "synthetic", "celeba", "folders"] = "auto"
    """Layout; "auto" looks at `root`, and takes synthetic faces where there is none."""
    root: str = ""
    """Folder of the data set."""
    attributes: tuple[str, ...] = ()
    """Attributes or domains to learn, in the order of the label; empty takes the paper's five
    of CelebA, all domains of folders, or all attributes of the synthetic faces."""
    split: Literal["official", "none"] = "official"
    """CelebA: "official" holds out the first 1,999 rows after a shuffle with seed 1234."""
    image_size: int = 128
    """Side of the training images in pixels."""
    crop_size: int = 178
    """Side of the centre crop in pixels before the resize; 0, or more than an image has, takes
    the largest square that fits."""
    flip: bool = True
    """Whether half of the training images are mirrored."""
    num_synthetic: int = 4000
    """Number of synthetic faces drawn for training."""
    num_workers: int = 1
    """Loader processes; unused where the prepared images fit into `cache_mib`."""
    cache_mib: int = 2048
    """Memory in MiB for prepared images: a set that fits is decoded once, before the first step."""
    licence: str = ""
    """Licence of the data, for the card."""

    def __post_init__(self) -> None:
        if self.kind in ("celeba", "folders") and not self.root:
            raise ValueError(f"root is needed for kind {self.kind!r}; give it with --data DIR")
        for name in ("image_size", "num_synthetic"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("crop_size", "num_workers", "cache_mib"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")


def open_source(config: DataConfig, split: Split) -> ImageSource:
    """Opens the data set that the settings name.

    Raises:
        DataError: there is no such folder, or nothing in it fits its layout.
        LabelError: an attribute that the data set does not know.
    """
    from stargan_deploy.data.celeba import CelebA, find_attribute_file
    from stargan_deploy.data.folders import FolderPerDomain
    from stargan_deploy.data.synthetic import SyntheticFaces
    from stargan_deploy.data.table import select_attributes

    if config.kind == "synthetic" or not config.root:
        size = max(config.image_size, 32)
        seed = {"train": 0, "test": 1}[split]
        number = config.num_synthetic if split == "train" else max(64, config.num_synthetic // 20)
        return select_attributes(SyntheticFaces(number, size=size, seed=seed), config.attributes)
    root = Path(config.root).expanduser()
    if not root.is_dir():
        raise DataError(f"no such data folder: {root}")
    if config.kind == "celeba" or (config.kind == "auto" and find_attribute_file(root)):
        return CelebA(root, attributes=config.attributes, split=split, scheme=config.split)
    return FolderPerDomain(root, domains=config.attributes, split=split)


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted, hidden ones left out."""
    return sorted(path for path in _visible(folder.rglob("*"), folder) if path.is_file())


def _visible(paths: Iterable[Path], folder: Path) -> Iterable[Path]:
    for path in paths:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden:
            yield path
