"""What a data folder names, by layout and before any image is decoded.

Each layout is read by the reader that a training uses, a split at a time, so that what is wrong
with it is said in that reader's words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from PIL import Image

from stargan_deploy.data.detect import recognise, refuse_attributes, require_root
from stargan_deploy.data.layouts.celeba import CelebA, find_attribute_file
from stargan_deploy.data.layouts.csv_table import CsvTable
from stargan_deploy.data.layouts.folders import FolderPerDomain, required_images, split_folder
from stargan_deploy.data.layouts.folders import split_folders as folders_of_splits
from stargan_deploy.data.layouts.idx import IdxDigits, find_faults, holds_idx
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.paired import load_pair, look_like_pairs
from stargan_deploy.data.layouts.plain import PlainImages
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.layouts.unpaired import domain_folders, open_domain
from stargan_deploy.data.source import ImageSource, Split
from stargan_deploy.errors import DataError
from stargan_deploy.files.images import load_image
from stargan_deploy.files.walk import image_files

T = TypeVar("T")

FolderKind = Literal["auto", "celeba", "csv", "folders", "idx", "plain", "paired", "unpaired"]
"""What a user may say that a folder is: `data.kind` but for "synthetic", which has no folder."""

Layout = Literal["celeba", "csv", "folders", "images", "idx", "plain", "paired", "unpaired"]
"""As `data.kind`; "images" are some without labels of which nobody said what they are for."""

SPLITS: tuple[Split, ...] = ("train", "test")

SERVE_BOTH = "no images are held out: those of training serve for both"
"""Remark on a set without `test` folders, or one that is too small to divide."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Images that belong together: all of a set, those of a split, or of a domain in a split."""

    files: Sequence[str]
    load: Callable[[int], Image.Image]
    """Decodes the image of an index, or raises an `ImageError`."""
    source: ImageSource | None = None
    """Has the images' labels."""
    split: str = ""
    domain: str = ""
    folder: str = ""
    num_panels: int = 1
    """Images in a file, side by side."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that a folder names, and what is wrong with that."""

    layout: Layout
    groups: tuple[Group, ...]
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Why a training would refuse the folder, broken images aside."""


def read_contents(root: Path, kind: FolderKind, attributes: Sequence[str]) -> Contents:
    """Finds out what a folder is, unless it is told, and lists its images.

    Raises:
        DataError: there is no such folder, or nothing of its kind in it.
        LabelError: an attribute, domain or class that the folder does not know.
        ConfigError: attributes of a kind that has none.
    """
    layout = recognise(root) if kind == "auto" else kind
    require_root(root, layout)
    if layout == "celeba":
        return _celeba(root, attributes)
    if layout == "csv":
        return _listed("csv", CsvTable(root, attributes=attributes, scheme="none"))
    if layout == "idx":
        return _idx(root, attributes)
    if layout == "unpaired":
        return _unpaired(root, attributes)
    if layout == "folders":
        return (
            _folders(root, attributes) if kind == layout else _folders_or_images(root, attributes)
        )
    refuse_attributes(layout, attributes)
    return _paired(root) if layout == "paired" else _plain(root)


def _celeba(root: Path, attributes: Sequence[str]) -> Contents:
    path = find_attribute_file(root)
    known = LabelFile(path) if path else None
    table = CelebA(root, attributes=attributes or (known.names if known else ()), scheme="none")
    if path is None or known is None or known.num_rows_said == len(table):
        return _listed("celeba", table)
    said = f"{path.name} has {len(table)} rows, and says {known.num_rows_said}: is it whole?"
    return _listed("celeba", table, said)


def _listed(layout: Layout, table: FileTable, *remarks: str) -> Contents:
    """Images that a list names; says which stand beside them unnamed."""
    names = dict.fromkeys(table.names)
    beside = [path.relative_to(table.folder).as_posix() for path in image_files(table.folder)]
    unnamed = [name for name in beside if name not in names]
    if unnamed:
        remarks += (f"{len(unnamed)} images have no row, such as {unnamed[0]}",)
    if len(names) < len(table):
        remarks += (f"{len(table) - len(names)} rows name an image that an earlier row names",)
    group = _of_paths([table.folder / name for name in names], source=table)
    return Contents(layout=layout, groups=(group,), remarks=remarks)


def _folders_or_images(root: Path, domains: Sequence[str]) -> Contents:
    """A folder a domain; or pairs, by their shape, or images of which nothing is known."""
    try:
        return _folders(root, domains)
    except DataError:
        images = image_files(root)
        if domains or not images:
            raise
    if look_like_pairs(images):
        return _paired(root)
    return Contents(layout="images", groups=(_of_paths(images),))


def _folders(root: Path, domains: Sequence[str]) -> Contents:
    train = FolderPerDomain(root, domains=domains)
    test = FolderPerDomain(root, domains=domains, split="test")
    tables = (train,) if test.folder == train.folder else (train, test)
    groups = tuple(_of_table(table) for table in tables)
    remarks = _unused(root, groups, "belong to no domain")
    return Contents(layout="folders", groups=groups, remarks=remarks)


def _idx(root: Path, classes: Sequence[str]) -> Contents:
    found = _Found()
    for split in SPLITS:
        digits = found.attempt(partial(IdxDigits, root, classes=classes, split=split))
        if digits is None:
            found.add_problems(find_faults(root, split))
            continue
        if digits.num_left_out and not classes:
            words = f"{split} images are left out, whose classes do not occur in training"
            found.remarks.append(f"{digits.num_left_out} {words}")
        found.groups.append(_of_digits(digits, root, split))
    return found.contents("idx", root, may_be_empty=holds_idx(root))


def _paired(root: Path) -> Contents:
    found = _Found()
    trained = [split_folder(root, split) for split in SPLITS]
    for name, folder in (folders_of_splits(root) or {"train": root}).items():
        if folder in trained or image_files(folder):
            files = found.attempt(partial(required_images, folder))
            if files:
                found.groups.append(
                    _of_paths(files, load_pair, split=name, folder=str(folder), num_panels=2)
                )
    if trained[0] == trained[1]:
        found.remarks.append(SERVE_BOTH)
    return found.contents("paired", root)


def _unpaired(root: Path, domains: Sequence[str]) -> Contents:
    found = _Found()
    trained = found.attempt(partial(domain_folders, root, domains, "train"))
    held_out = found.attempt(partial(domain_folders, root, domains, "test"))
    if trained and trained == held_out:
        found.remarks.append(SERVE_BOTH)
        held_out = None
    for split, folders in zip(SPLITS, (trained, held_out), strict=True):
        for letter, folder in zip("AB", folders or (), strict=False):
            table = found.attempt(partial(open_domain, folder))
            if table is not None:
                found.groups.append(_of_table(table, split=split, domain=letter))
    return found.contents("unpaired", root)


def _plain(root: Path) -> Contents:
    found = _Found()
    train, test = (found.attempt(partial(PlainImages, root, split=split)) for split in SPLITS)
    if train and test and (train.folder, train.names) == (test.folder, test.names):
        found.remarks.append(SERVE_BOTH)
        test = None
    tables = zip(SPLITS, (train, test), strict=True)
    found.groups += [_of_table(table, split=split) for split, table in tables if table]
    return found.contents("plain", root)


@dataclass(kw_only=True)
class _Found:
    """What has been found so far of a folder whose splits are read one by one."""

    groups: list[Group] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """What `read` gives, or None where it refuses, which is noted."""
        try:
            return read()
        except DataError as error:
            self.add_problems([str(error)])
            return None

    def add_problems(self, problems: Iterable[str]) -> None:
        """Notes what is not noted yet: two splits may fail for one reason."""
        self.problems += [problem for problem in problems if problem not in self.problems]

    def contents(self, layout: Layout, root: Path, *, may_be_empty: bool = False) -> Contents:
        """All of it; nothing at all is refused for the first reason."""
        if not self.groups and not may_be_empty:
            raise DataError(self.problems[0])
        remarks = (*self.remarks, *_unused(root, self.groups, "are used by no split"))
        return Contents(
            layout=layout,
            groups=tuple(self.groups),
            remarks=remarks,
            problems=tuple(self.problems),
        )


def _unused(root: Path, groups: Sequence[Group], words: str) -> tuple[str, ...]:
    """A remark about images below a folder that are in no group, if there are any."""
    used = {file for group in groups for file in group.files}
    others = {str(path) for path in image_files(root)} - used
    return (f"{len(others)} images {words}, such as {min(others)}",) if others else ()


def _of_digits(digits: IdxDigits, root: Path, split: Split) -> Group:
    return Group(
        files=[str(root / digits.name(index)) for index in range(len(digits))],
        load=digits.load,
        source=digits,
        split=split,
        folder=str(root),
    )


def _of_table(table: FileTable, *, split: str = "", domain: str = "") -> Group:
    return Group(
        files=[str(table.folder / name) for name in table.names],
        load=table.load,
        source=table,
        split=split,
        domain=domain,
        folder=str(table.folder),
    )


def _of_paths(
    paths: Sequence[Path],
    load: Callable[[Path], Image.Image] = load_image,
    *,
    source: ImageSource | None = None,
    split: str = "",
    folder: str = "",
    num_panels: int = 1,
) -> Group:
    return Group(
        files=[str(path) for path in paths],
        load=lambda index: load(paths[index]),
        source=source,
        split=split,
        folder=folder,
        num_panels=num_panels,
    )
