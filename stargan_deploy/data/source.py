"""What a data set is to the trainer, and the settings that name one or several."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import ConfigError

Labels = npt.NDArray[np.float32]
Split = Literal["train", "test"]
Kind = Literal[
    "auto", "synthetic", "celeba", "csv", "folders", "idx", "plain", "paired", "unpaired"
]
Scheme = Literal["official", "partition", "none"]


class ImageSource(Protocol):
    """Images in a fixed order, with labels or without.

    An item is one image, or several that belong together: panels of one size, side by side.
    """

    description: str
    """What the images are, for the card, such as "synthetic faces"."""
    label_space: LabelSpace
    labels: Labels
    """The generator's labels (N, D) of zeros and ones: of several sets with their mask."""
    panels: tuple[str, ...]
    """Names of an item's panels from left to right; one is called "image"."""

    def __len__(self) -> int:
        """Number N of images."""

    def load(self, index: int) -> Image.Image:
        """Decodes one item to RGB.

        Raises:
            ImageError: it cannot be read.
        """

    def name(self, index: int) -> str:
        """File name of an image inside the data set."""


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One of several data sets that are trained on jointly."""

    kind: Kind = "auto"
    """Layout; "auto" looks at `root`."""
    root: str = ""
    """Folder of the data set, or its CSV file."""
    attributes: tuple[str, ...] = ()
    """Attributes or domains to learn; empty takes what its layout takes."""
    crop_size: int | None = None
    """Side of its centre crop in pixels; absent takes `data.crop_size`."""
    split: Scheme | None = None
    """How images are held out; absent takes `data.split`."""

    def __post_init__(self) -> None:
        if self.kind != "synthetic" and not self.root:
            raise ValueError("root is needed; give --data DIR once for each set of the recipe")
        if (self.crop_size or 0) < 0:
            raise ValueError(f"crop_size cannot be negative: {self.crop_size}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where images and labels come from and how they are prepared."""

    kind: Kind = "auto"
    """Layout; "auto" looks at `root`, and takes synthetic faces where there is none. It finds
    "celeba", "csv" and "folders"; the others must be named: "idx" is MNIST's four files, "plain"
    any images without labels, "paired" an input beside each output, "unpaired" two domains."""
    root: str = ""
    """Folder of the data set, or its CSV file."""
    sets: dict[str, SetConfig] = field(default_factory=dict)
    """Several data sets by name, trained on jointly in this order, instead of the one at `root`."""
    attributes: tuple[str, ...] = ()
    """Attributes or domains to learn, in the order of the label; empty takes the paper's five
    of CelebA, all columns of a CSV, all domains of folders, or all attributes of the synthetic
    faces. Of an unpaired set the domains A and B, in this order."""
    split: Scheme = "official"
    """Rows held out of CelebA's layout or a CSV: "official" shuffles them with seed 1234 and holds
    out the first 1,999 (of a CSV at most a tenth); "partition" reads `list_eval_partition.txt`;
    "none" trains on all. Folders are divided by `train` and `test` folders."""
    condition: Literal["left", "right"] = "right"
    """Half of a pair that is the input; the other half is the output that is learnt."""
    image_size: int = 128
    """Side of the training images in pixels."""
    crop_size: int = 178
    """Side of the centre crop in pixels before the resize; 0, or more than an image has, takes
    the largest square that fits."""
    flip: bool = True
    """Whether half of the training images are mirrored."""
    jitter: int = 0
    """Pixels by which training images are made larger than `image_size`, to cut a window of that
    size out of them at a place drawn for each step; both images of a pair at the same place."""
    skip_broken: bool = False
    """Whether images that cannot be read are left out instead of refused."""
    num_synthetic: int = 4000
    """Number of synthetic faces drawn for training."""
    num_workers: int = 1
    """Loader processes; unused where the prepared images fit into `cache_mib`."""
    cache_mib: int = 2048
    """Memory in MiB for prepared images: a set that fits is decoded once, before the first step."""
    licence: str = ""
    """Licence of the data, for the card."""

    def __post_init__(self) -> None:
        if self.kind not in ("auto", "synthetic") and not self.root and not self.sets:
            raise ValueError(f"root is needed for kind {self.kind!r}; give it with --data DIR")
        for name in ("image_size", "num_synthetic"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("crop_size", "jitter", "num_workers", "cache_mib"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")
        if self.sets:
            self._check_sets()

    def set_configs(self) -> dict[str, "DataConfig"]:
        """The settings of each of several sets, as if it were the only one."""
        return {
            name: replace(
                self,
                sets={},
                kind=own.kind,
                root=own.root,
                attributes=own.attributes,
                crop_size=self.crop_size if own.crop_size is None else own.crop_size,
                split=own.split or self.split,
            )
            for name, own in self.sets.items()
        }

    def _check_sets(self) -> None:
        if len(self.sets) < 2:
            raise ValueError("sets must name at least two; for one set use kind, root, attributes")
        for name in self.sets:
            if not re.fullmatch(r"[\w-]+", name, re.ASCII):
                raise ValueError(f"sets: {name!r} is no name; use letters, digits, _ and -")
        neutral: dict[str, Any] = {"kind": "auto", "root": "", "attributes": ()}
        for name, value in neutral.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} is that of one data set, and there are several: give each its own, "
                    f"data.sets.NAME.{name}, and set data.{name} to {value or 'nothing'}"
                )


def open_source(config: DataConfig, split: Split) -> ImageSource:
    """Opens the data set that the settings name, or all of several.

    Raises:
        DataError: there is no such folder, or nothing in it fits its layout.
        LabelError: an attribute that the data set does not know.
    """
    if config.sets:
        from stargan_deploy.data.layouts.joint import JointSource, Part

        own = config.set_configs()
        parts = {
            name: Part(source=open_source(part, split), crop_size=part.crop_size or None)
            for name, part in own.items()
        }
        return JointSource(parts)
    if config.kind == "synthetic" or not config.root:
        return _synthetic(config, split)
    return _files(config, split)


def place_roots(data: Mapping[str, Any], roots: Sequence[str]) -> dict[str, Any]:
    """Finds the places in a recipe's `data` table for data folders that a user names in turn.

    Args:
        data: the table. Where it names sets, there is a folder for each that is not synthetic;
            else several folders become sets with the folders' names.
        roots: the folders.

    Returns:
        Changes to the table.

    Raises:
        ConfigError: more or fewer folders than the recipe has sets, or two of one name.
    """
    sets = data.get("sets") or {}
    if not roots or not isinstance(sets, Mapping):
        return {}
    if len(roots) == 1 and not sets:
        return {"root": roots[0]}
    named = [name for name, table in sets.items() if not _is_synthetic(table)]
    names = named if sets else [_set_name(root) for root in roots]
    if len(names) != len(roots):
        raise ConfigError(
            f"this recipe joins {len(names)} data sets ({', '.join(names)}): give --data DIR once "
            f"for each, in this order; there are {len(roots)}"
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"two data folders have the same name: {', '.join(names)}; rename one")
    own = {name: {"root": root} for name, root in zip(names, roots, strict=True)}
    return {"sets": own}


def _synthetic(config: DataConfig, split: Split) -> ImageSource:
    from stargan_deploy.data.layouts.synthetic import SyntheticFaces
    from stargan_deploy.data.layouts.table import select_attributes

    size = max(config.image_size, 32)
    seed = {"train": 0, "test": 1}[split]
    number = config.num_synthetic if split == "train" else max(64, config.num_synthetic // 20)
    return select_attributes(SyntheticFaces(number, size=size, seed=seed), config.attributes)


def _files(config: DataConfig, split: Split) -> ImageSource:
    from stargan_deploy.data.detect import find_layout, require_root
    from stargan_deploy.data.layouts.celeba import CelebA
    from stargan_deploy.data.layouts.csv_table import CsvTable
    from stargan_deploy.data.layouts.folders import FolderPerDomain

    root = Path(config.root).expanduser()
    kind = find_layout(root) if config.kind == "auto" else config.kind
    require_root(root, kind)
    if kind in ("idx", "plain", "paired", "unpaired"):
        return _unattributed(config, root, split)
    if kind == "celeba":
        return CelebA(root, attributes=config.attributes, split=split, scheme=config.split)
    if kind == "csv":
        return CsvTable(root, attributes=config.attributes, split=split, scheme=config.split)
    return FolderPerDomain(root, domains=config.attributes, split=split)


def _unattributed(config: DataConfig, root: Path, split: Split) -> ImageSource:
    """Layouts of images without attributes of their own."""
    from stargan_deploy.data.detect import refuse_attributes
    from stargan_deploy.data.layouts.idx import IdxDigits
    from stargan_deploy.data.layouts.paired import PairedImages
    from stargan_deploy.data.layouts.plain import PlainImages
    from stargan_deploy.data.layouts.unpaired import UnpairedDomains

    if config.kind == "idx":
        return IdxDigits(root, classes=config.attributes, split=split)
    if config.kind == "unpaired":
        return UnpairedDomains(root, domains=config.attributes, split=split)
    refuse_attributes(config.kind, config.attributes)
    if config.kind == "paired":
        return PairedImages(root, condition=config.condition, split=split)
    return PlainImages(root, split=split)


def _is_synthetic(table: Any) -> bool:
    return isinstance(table, Mapping) and table.get("kind") == "synthetic"


def _set_name(root: str) -> str:
    return re.sub(r"[^\w-]+", "_", Path(root).name.removesuffix(".csv"), flags=re.ASCII)
