"""The interface of a data layout, and the reading of what a data folder holds."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.registry import LAYOUTS
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import ConfigError, DataError, unknown_name
from stargan_deploy.files.images import load_image
from stargan_deploy.files.walk import image_files

T = TypeVar("T")

SERVE_BOTH = "no images are held out: those of training serve for both"
"""Remark on a set without `test` folders, or one that is too small to divide."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Images that belong together: all of a set, those of a split, or of a domain in a split."""

    files: Sequence[str]
    load: Callable[[int], Image.Image]
    """Decodes the image of an index, or raises an `ImageError`."""
    source: ImageSource | None = None
    """Source of the images' labels."""
    split: str = ""
    domain: str = ""
    folder: str = ""
    num_panels: int = 1
    """Number of images in a file, side by side."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All images that a data folder names, and what is wrong with it."""

    layout: str
    groups: tuple[Group, ...]
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Reasons for which a training would refuse the folder, broken images aside."""


class DataLayout(ABC):
    """A way in which images and labels lie in a folder."""

    name: ClassVar[str]
    """Its name in the registry, which `data.kind` has."""
    summary: ClassVar[str]
    """Description in a few words, for reports and help."""
    noun: ClassVar[str] = "images"
    """Plural of what a file holds."""
    is_automatic: ClassVar[bool] = False
    """Whether a training takes it for a folder that it recognises, without being told."""
    takes_attributes: ClassVar[bool] = True
    """Whether there are labels or domains to choose from."""
    label_suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings, in lower case, of label files that may stand in the folder's place."""

    def recognises(self, root: Path) -> bool:  # noqa: ARG002 - the default knows no folder
        """Whether a folder looks like this layout; cheap, and without decoding an image."""
        return False

    @abstractmethod
    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens one split.

        Args:
            config: the settings of this one set.
            root: where it lies.
            split: "train" or "test".

        Raises:
            DataError: nothing at `root` fits the layout.
            LabelError: an attribute that the data set does not know.
        """

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """Lists all images before any is decoded; by default those of both splits.

        Raises:
            DataError: there is nothing of this layout.
            LabelError: an attribute that the data set does not know.
        """
        found = Findings()
        train, test = (found.attempt(partial(self.open, config, root, s)) for s in SPLITS)
        if train and test and _locations(train) == _locations(test):
            found.remarks.append(SERVE_BOTH)
            test = None
        sources = zip(SPLITS, (train, test), strict=True)
        found.groups += [group_of(source, split=split) for split, source in sources if source]
        return found.contents(self.name, root)

    def check_attributes(self, config: DataConfig) -> None:
        """Refuses attributes where there are none to choose from.

        Raises:
            ConfigError: there are some.
        """
        if config.attributes and not self.takes_attributes:
            raise ConfigError(f"{self.name!r} images have no attributes to choose from")


def load_layout(name: str) -> DataLayout:
    """Imports a layout by name.

    Raises:
        ConfigError: there is no such layout.
    """
    if name not in LAYOUTS:
        raise ConfigError(unknown_name("layout", name, LAYOUTS))
    module, _, attribute = LAYOUTS[name].partition(":")
    layout: DataLayout = getattr(importlib.import_module(module), attribute)()
    return layout


@dataclass(kw_only=True)
class Findings:
    """Contents in the making: of a folder whose splits are read one by one."""

    groups: list[Group] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """The result of `read`, or None where it refuses, which is noted."""
        try:
            return read()
        except DataError as error:
            self.add_problems([str(error)])
            return None

    def add_problems(self, problems: Iterable[str]) -> None:
        """Notes what is not noted yet: two splits may fail for one reason."""
        self.problems += [problem for problem in problems if problem not in self.problems]

    def contents(
        self,
        layout: str,
        root: Path,
        *,
        unused: str = "are used by no split",
        may_be_empty: bool = False,
    ) -> Contents:
        """Everything found; nothing at all is refused for the first reason.

        Args:
            layout: name of the layout.
            root: the folder.
            unused: what is remarked about images below the folder that are in no group.
            may_be_empty: whether problems without any image make a report.
        """
        if not self.groups and not may_be_empty:
            raise DataError(self.problems[0])
        used = {file for group in self.groups for file in group.files}
        others = {str(path) for path in image_files(root)} - used if root.is_dir() else ()
        remarks = [f"{len(others)} images {unused}, such as {min(others)}"] if others else []
        return Contents(
            layout=layout,
            groups=tuple(self.groups),
            remarks=(*self.remarks, *remarks),
            problems=tuple(self.problems),
        )


def group_of(source: ImageSource, *, split: str = "", domain: str = "", folder: str = "") -> Group:
    """All images of a source."""
    return Group(
        files=_locations(source),
        load=source.load,
        source=source,
        split=split,
        domain=domain,
        folder=folder or str(source.folder or ""),
        num_panels=len(source.panels),
    )


def group_of_files(
    files: Sequence[Path],
    load: Callable[[Path], Image.Image] = load_image,
    *,
    source: ImageSource | None = None,
    split: str = "",
    folder: str = "",
    num_panels: int = 1,
) -> Group:
    """Image files, whatever source they are of."""
    return Group(
        files=[str(path) for path in files],
        load=lambda index: load(files[index]),
        source=source,
        split=split,
        folder=folder,
        num_panels=num_panels,
    )


def _locations(source: ImageSource) -> list[str]:
    return [source.location(index) for index in range(len(source))]
