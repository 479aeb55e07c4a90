"""The interface of a data layout, and the reading of what a data folder holds."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, TypeVar

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.registry import LAYOUTS
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import ConfigError, DataError, unknown_name
from stargan_deploy.files.walk import image_files

T = TypeVar("T")

SERVE_BOTH = "no images are held out: those of training serve for both"
"""Remark on a set without `test` folders, or one that is too small to divide."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Images that belong together: all of a set, those of a split, or of a domain in a split."""

    source: ImageSource
    split: str = ""
    domain: str = ""

    @cached_property
    def files(self) -> list[str]:
        """Paths of the images."""
        return [self.source.location(index) for index in range(len(self.source))]


@dataclass(kw_only=True)
class Contents:
    """All images that a data folder names, and what is wrong with it."""

    layout: str
    groups: list[Group] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Reasons for which a training would refuse the folder, broken images aside."""

    def attempt(self, read: Callable[[], T]) -> T | None:
        """The result of `read`, or None where it refuses, which is noted."""
        try:
            return read()
        except DataError as error:
            self.add_problems([str(error)])
            return None

    def add(self, source: ImageSource, *, split: str = "", domain: str = "") -> None:
        """Adds the images of a source."""
        self.groups.append(Group(source=source, split=split, domain=domain))

    def add_problems(self, problems: Iterable[str]) -> None:
        """Notes what is not noted yet: two splits may fail for one reason."""
        self.problems += [problem for problem in problems if problem not in self.problems]

    def require_groups(self) -> None:
        """Refuses a folder without any images, for the first reason.

        Raises:
            DataError: there are none.
        """
        if not self.groups:
            raise DataError(self.problems[0])

    def remark_unused(
        self, root: Path, words: str = "are used by no split", *, also: Iterable[str] = ()
    ) -> None:
        """Adds a remark about images below a folder that are in no group, if there are any.

        Args:
            root: the folder.
            words: the remark's verb.
            also: further images that are used.
        """
        used = {file for group in self.groups for file in group.files}.union(also)
        others = {str(path) for path in image_files(root)} - used
        if others:
            self.remarks.append(f"{len(others)} images {words}, such as {min(others)}")


class DataLayout(ABC):
    """One arrangement of images and labels in a folder: recognised, opened and checked."""

    name: ClassVar[str]
    """Name in the registry, the value of `data.kind`."""
    summary: ClassVar[str]
    """Description in a few words, for reports and help."""
    recipe: ClassVar[str] = "faces64"
    """The package's recipe that trains on such data."""
    noun: ClassVar[str] = "images"
    """Plural of what a file holds."""
    is_automatic: ClassVar[bool] = False
    """Whether a training with kind "auto" takes it where it is recognised."""
    takes_attributes: ClassVar[bool] = True
    """Whether there are labels or domains to choose from."""
    takes_groups: ClassVar[bool] = False
    """Whether an image may have several labels, so that groups may exclude one another."""
    label_suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings, in lower case, of label files that `data.root` may name instead of a folder."""

    def recognises(self, root: Path) -> bool:  # noqa: ARG002 - the default knows no folder
        """Whether a folder looks like this layout; cheap, and without decoding an image."""
        return False

    def names_at_a_glance(self, root: Path) -> tuple[str, ...]:  # noqa: ARG002 - most have none
        """The attributes or domains to choose from, without reading all labels."""
        return ()

    @abstractmethod
    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens one split.

        Args:
            config: the settings of this one set.
            root: the folder, or the label file.
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
        found = Contents(layout=self.name)
        train, test = (found.attempt(partial(self.open, config, root, s)) for s in SPLITS)
        if train and test and Group(source=train).files == Group(source=test).files:
            found.remarks.append(SERVE_BOTH)
            test = None
        for split, source in zip(SPLITS, (train, test), strict=True):
            if source is not None:
                found.add(source, split=split)
        found.require_groups()
        found.remark_unused(root)
        return found

    def label_names(self, root: Path) -> tuple[str, ...]:
        """All labels that a data set has, of which `open` takes some; by default what it opens.

        Raises:
            DataError: there is nothing of this layout.
        """
        config = DataConfig(kind=self.name, root=str(root))
        return self.open(config, root, "train").label_space.names

    def check_attributes(self, config: DataConfig) -> None:
        """Refuses attributes, or groups of them, where there are none to choose from.

        Raises:
            ConfigError: there are some.
        """
        if config.exclusive and not self.takes_groups:
            raise ConfigError(
                f"`data.exclusive` groups attributes, and {self.name!r} images have none"
            )
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
