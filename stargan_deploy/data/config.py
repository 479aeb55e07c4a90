"""The settings that name one or several data sets and say how their images are prepared."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stargan_deploy.card.labels import Groups
from stargan_deploy.config import refuse_below
from stargan_deploy.data.registry import LAYOUTS, WITHOUT_FOLDER
from stargan_deploy.errors import ConfigError, unknown_name
from stargan_deploy.files.colours import ValueRange, check_range

AUTO = "auto"
Scheme = Literal["official", "partition", "none"]


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One of several data sets that are trained on jointly."""

    kind: str = AUTO
    """Layout of the data set; "auto" recognises it."""
    root: str = ""
    """Folder of the data set, or the file of its labels."""
    attributes: tuple[str, ...] = ()
    """Attributes or domains to learn; empty takes the layout's default."""
    exclusive: Groups = ()
    """Groups of attributes of which an image has at most one."""
    crop_size: int | None = None
    """Side of the centre crop in pixels; absent takes `data.crop_size`."""
    split: Scheme | None = None
    """Scheme by which images are held out; absent takes `data.split`."""

    def __post_init__(self) -> None:
        _check_kind(self.kind)
        if self.kind not in WITHOUT_FOLDER and not self.root:
            raise ValueError("root is needed; give `root` once for each set of the recipe")
        refuse_below(0, vars(self))


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where images and labels come from and how they are prepared."""

    kind: str = AUTO
    """Layout of the data set. "auto" recognises "celeba", "csv" and "folders", and takes synthetic
    faces where `root` is empty; the others must be named: "idx" (MNIST's four files), "plain"
    (images without labels), "paired" (an input beside each output), "unpaired" (two domains)."""
    root: str = ""
    """Folder of the data set, or the file of its labels."""
    sets: dict[str, SetConfig] = field(default_factory=dict)
    """Several data sets by name, trained on jointly in this order, instead of the one at `root`."""
    attributes: tuple[str, ...] = ()
    """Attributes or domains to learn, in the order of the label. Empty takes the paper's five for
    CelebA, all columns of a CSV, all domains of folders, all attributes of the synthetic faces.
    For an unpaired set, the domains A and B."""
    exclusive: Groups = ()
    """Groups of attributes of which an image has at most one, for example [["Bald", "Bangs"]];
    colours of hair always exclude one another."""
    split: Scheme = "official"
    """Scheme by which rows of CelebA or a CSV are held out: "official" shuffles them with seed 1234
    and holds out the first 1,999 (at most a tenth of a CSV); "partition" reads
    `list_eval_partition.txt`; "none" trains on all. Folders are divided by `train` and `test`."""
    condition: Literal["left", "right"] = "right"
    """Half of a pair that is the input; the other half is the output to learn."""
    image_size: int = 128
    """Side of the training images in pixels."""
    crop_size: int = 178
    """Side of the centre crop in pixels before the resize; 0, or more than an image has, takes
    the largest square that fits."""
    range: ValueRange | None = None
    """Values of deep images (16 bits, floats) that become black and white, for example [0, 4095];
    absent takes the full range of their type, of floats 0 to 1."""
    flip: bool = True
    """Whether half of the training images are mirrored."""
    jitter: int = 0
    """Pixels by which training images are enlarged beyond `image_size`, so that a window of that
    size can be cut at a place drawn for each step; both images of a pair at the same place."""
    skip_broken: bool = False
    """Whether images that cannot be read are left out instead of refused."""
    num_synthetic: int = 4000
    """Number of synthetic faces drawn for training."""
    num_workers: int = 1
    """Number of loader processes; unused where the prepared images fit into `cache_mib`."""
    cache_mib: int = 2048
    """Memory in MiB for prepared images: a set that fits is decoded once, before the first step."""
    licence: str = ""
    """Licence of the data, for the card."""

    def __post_init__(self) -> None:
        _check_kind(self.kind)
        is_open = self.kind == AUTO or self.kind in WITHOUT_FOLDER
        if not is_open and not self.root and not self.sets:
            raise ValueError(f"root is needed for kind {self.kind!r}; give it with `root`")
        refuse_below(1, {name: getattr(self, name) for name in ("image_size", "num_synthetic")})
        refuse_below(0, vars(self))
        check_range(self.range)
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
                exclusive=own.exclusive,
                crop_size=self.crop_size if own.crop_size is None else own.crop_size,
                split=own.split or self.split,
            )
            for name, own in self.sets.items()
        }

    def refuse_unused_folders(self) -> None:
        """Refuse folders of sets that are drawn; runs of 0.1.0 may name such, and are resumed.

        Raises:
            ConfigError: there is one.
        """
        named = [("data", self.kind, self.root)]
        named += [(f"data.sets.{name}", own.kind, own.root) for name, own in self.sets.items()]
        for place, kind, root in named:
            if kind in WITHOUT_FOLDER and root:
                raise ConfigError(
                    f"{place}.kind={kind} draws its images, and {place}.root={root} would be "
                    "unused",
                    hint="delete one of them",
                )

    def _check_sets(self) -> None:
        if len(self.sets) < 2:
            raise ValueError("sets must name at least two; for one set use kind, root, attributes")
        for name in self.sets:
            if not re.fullmatch(r"[\w-]+", name, re.ASCII):
                raise ValueError(
                    f"sets: {name!r} is not a valid name; use letters, digits, _ and -"
                )
        neutral: dict[str, Any] = {"kind": AUTO, "root": "", "attributes": (), "exclusive": ()}
        for name, value in neutral.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} belongs to one data set, and there are several: give each its own, "
                    f"data.sets.NAME.{name}, and set data.{name} to {value or 'nothing'}"
                )


def _check_kind(kind: str) -> None:
    if kind != AUTO and kind not in LAYOUTS:
        raise ValueError(f"kind: {unknown_name('layout', kind, (AUTO, *LAYOUTS))}")
