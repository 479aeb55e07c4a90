"""Images that a label file lists: CelebA's layout (Liu et al., ICCV 2015) and CSV tables."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

from stargan_deploy.card.labels import Groups, multilabel_space, resolve_groups
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.layouts.label_file import LabelFile, looks_like_list
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import Split
from stargan_deploy.data.splits import NUM_HELD_OUT, choose_rows
from stargan_deploy.errors import DataError
from stargan_deploy.files.walk import found_at, image_files, subfolders

PAPER_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""The five attributes of the paper's CelebA experiments."""

IMAGE_FOLDERS = ("images", "img_align_celeba", "img_celeba")
"""Usual names of the folder of images beside a label file."""

FILE_COLUMNS = frozenset(
    ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "name", "path")
)
"""Names, in lower case, of a first column of files; a column that names a file is one too."""

HELD_OUT_SHARE = 10
"""A list that is too short for the official split holds out one row in so many."""

NUM_PROBED = 20
"""Number of files that are looked for to find their folder."""


class ListedLayout(DataLayout):
    """Images and a label file."""

    is_automatic = True
    takes_groups = True
    full_split_from: ClassVar[int] = NUM_HELD_OUT * HELD_OUT_SHARE
    """Number of rows from which the official split holds out 1,999; of fewer it is a tenth."""

    @abstractmethod
    def find(self, root: Path) -> Path | None:
        """The label file of a folder, or None."""

    @abstractmethod
    def label_file(self, root: Path) -> LabelFile:
        """Opens the label file.

        Raises:
            DataError: there is none, or it is not one.
        """

    @abstractmethod
    def default_attributes(self, file: LabelFile) -> tuple[str, ...]:
        """The attributes to learn where none are chosen."""

    def recognises(self, root: Path) -> bool:
        """Whether there is a label file."""
        return self.find(root) is not None

    def open(self, config: DataConfig, root: Path, split: Split) -> FileTable:
        """Opens the rows of a split, which `choose_rows` divides."""
        file = self.label_file(root)
        names = config.attributes or self.default_attributes(file)
        rows = file.read(names)
        is_full = len(rows.files) >= self.full_split_from
        number = NUM_HELD_OUT if is_full else len(rows.files) // HELD_OUT_SHARE
        scheme = "none" if config.split == "official" and not number else config.split
        base = file.path.parent
        chosen = choose_rows(rows.files, split, scheme, folder=base, num_held_out=number)
        if not chosen:
            raise DataError(
                f"{file.path} has {len(rows.files)} rows, and data.split={scheme} leaves none for "
                f"{split} (official holds out {number})",
                hint="set data.split=none",
            )
        table = FileTable(
            image_folder(file, rows.files),
            [rows.files[index] for index in chosen],
            rows.labels[chosen],
            label_space=multilabel_space(
                names, name=self.name, exclusive=_groups(config, file, names)
            ),
            description=root.resolve().name,
        )
        if config.split == "official" and not is_full:
            table.notes = (_short_split(len(rows.files), number),)
        return table

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """All images that the file lists; remarks on rows and images that do not match."""
        file = self.label_file(root)
        config = replace(config, attributes=config.attributes or file.names)
        table = self.open(config, root, "train")
        rows = {name: row for row, name in reversed([*enumerate(table.names)])}
        first = sorted(rows.values())
        found = Contents(layout=self.name)
        if file.num_rows_said not in (None, len(table)):
            said = f"{len(table)} rows, and says {file.num_rows_said}: is it whole?"
            found.remarks.append(f"{file.path.name} has {said}")
        beside = [path.relative_to(table.folder).as_posix() for path in image_files(table.folder)]
        if unnamed := [name for name in beside if name not in rows]:
            found.remarks.append(f"{len(unnamed)} images have no row, such as {unnamed[0]}")
        if repeated := len(table) - len(rows):
            found.remarks.append(f"{repeated} rows name an image that an earlier row names")
        unique = FileTable(
            table.folder,
            [table.names[row] for row in first],
            table.labels[first],
            label_space=table.label_space,
            description=table.description,
        )
        found.add(unique)
        return found


class CelebALayout(ListedLayout):
    """A folder of images and `list_attr_celeba.txt`, in the folder or the one below it.

    A list by another name is recognised by its first lines, as CelebAMask-HQ's is.
    """

    name = "celeba"
    summary = "CelebA's layout (images and an attribute list)"
    label_suffixes = (".txt",)
    full_split_from = 2 * NUM_HELD_OUT

    def find(self, root: Path) -> Path | None:
        """The attribute list, or None."""
        patterns = ("list_attr*.txt", "*/list_attr*.txt")
        named = next((path for p in patterns for path in sorted(root.glob(p))), None)
        if named is not None or not root.is_dir():
            return named
        texts = sorted(path for path in root.glob("*.txt") if not path.name.startswith("."))
        lists = [path for path in texts[:NUM_PROBED] if looks_like_list(path)]
        return lists[0] if len(lists) == 1 else None

    def label_file(self, root: Path) -> LabelFile:
        """Opens the attribute list."""
        path = root if found_at(root) == "file" else self.find(root)
        if path is None:
            raise DataError(f"{root} holds no list_attr_*.txt, so it is not in CelebA's layout")
        file = LabelFile(path)
        if not file.is_list:
            raise DataError(f"{path} does not start with a row count and attribute names")
        return file

    def default_attributes(self, file: LabelFile) -> tuple[str, ...]:  # noqa: ARG002
        """The paper's five."""
        return PAPER_ATTRIBUTES


class CsvLayout(ListedLayout):
    """Images and a CSV `file,Attribute1,Attribute2,...`, whose files are in its folder or below.

    It is the only CSV in its folder, or the only one called `list_attr*`, or is named itself.
    """

    name = "csv"
    summary = "images and a CSV of attributes"
    label_suffixes = (".csv",)

    def find(self, root: Path) -> Path | None:
        """The CSV that names files in its first column, or None."""
        found = _csv_files(root)
        if len(found) > 1:
            found = [path for path in found if path.name.startswith("list_attr")]
        return found[0] if len(found) == 1 and _names_files(found[0]) else None

    def label_file(self, root: Path) -> LabelFile:
        """Opens the CSV."""
        path = self.find(root) if root.is_dir() else root
        if path is None:
            names = ", ".join(path.name for path in _csv_files(root)) or "none"
            raise DataError(
                f"{root} does not hold exactly one CSV that starts with file,Attribute1,...: found "
                f"{names}",
                hint="name the file itself with `root`",
            )
        return LabelFile(path)

    def default_attributes(self, file: LabelFile) -> tuple[str, ...]:
        """All columns."""
        if not file.names or not all(file.names):
            raise DataError(
                f"{file.path} does not name its columns (file,Attribute1,...)",
                hint="choose some with `attributes`",
            )
        return file.names


def _short_split(num_rows: int, num_held_out: int) -> str:
    found = f"{num_rows:,} labelled images are too few for the official split of {NUM_HELD_OUT:,}"
    if not num_held_out:
        return f"{found}: none is held out, so that samples and evaluation see images of training"
    return f"{found}: {num_held_out:,} of them, drawn at random, are held out"


def _csv_files(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def _names_files(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            lines = iter(lambda: stream.readline(1 << 16), "")
            first = islice((line for line in lines if not line.startswith("#")), 2)
            cells = [line.partition(",") for line in first]
    except OSError:
        return False
    cells += [("", "", "")] * (2 - len(cells))
    name, file = (cell.strip().strip('"') for cell, _, _ in cells)
    folders = (path.parent, *subfolders(path.parent))
    is_file = any(found_at(folder / file) == "file" for folder in folders)
    return bool(cells[0][1]) and (name.lower() in FILE_COLUMNS or is_file)


def _groups(config: DataConfig, file: LabelFile, learned: Sequence[str]) -> Groups:
    """The groups of a recipe and a file that matter for the attributes to learn."""
    groups = resolve_groups((*config.exclusive, *file.exclusive), file.names)
    left = (tuple(name for name in group if name in learned) for group in groups)
    return tuple(group for group in left if len(group) > 1)


def image_folder(file: LabelFile, names: Sequence[str]) -> Path:
    """The folder with the most of a label file's first images.

    A list's images lie in a folder beside it, a CSV names them from its own folder or from one
    beside it; where none of a list's is there, any folder with images is taken, so that each
    missing image is named.

    Raises:
        DataError: no such folder.
    """
    base = file.path.parent
    nested = [f"{name}/{name}" for name in IMAGE_FOLDERS]  # as archives are unpacked on Kaggle
    beside = [*IMAGE_FOLDERS, *nested, *(folder.name for folder in subfolders(base))]
    order = [*beside, "."] if file.is_list else [".", *beside]
    candidates = [base / name for name in order]
    probed = names[:NUM_PROBED]
    found = [sum(found_at(folder / name) == "file" for name in probed) for folder in candidates]
    if max(found):
        return candidates[found.index(max(found))]
    if not file.is_list:
        raise DataError(
            f"{file.path}: none of its first {len(probed)} files ({probed[0]!r}, ...) is in "
            f"{base} or {base / 'images'}"
        )
    for folder in candidates:
        if found_at(folder) == "folder" and image_files(folder):
            return folder
    raise DataError(f"{base} has an attribute list, but no folder of images beside it")
