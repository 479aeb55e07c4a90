"""Images that a label file lists: CelebA's layout (Liu et al., ICCV 2015) and CSV tables."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from stargan_deploy.card.labels import (
    Groups,
    LabelSpace,
    multilabel_space,
    onehot_space,
    resolve_groups,
)
from stargan_deploy.data.config import DataConfig, Scheme
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.layouts.folders import SPLIT_NAMES, split_folders
from stargan_deploy.data.layouts.label_file import LabelFile, LabelRows
from stargan_deploy.data.layouts.listed_files import (
    NUM_PROBED,
    FileNames,
    image_folder,
    names_existing,
)
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, Split
from stargan_deploy.data.splits import NUM_HELD_OUT, choose_rows
from stargan_deploy.errors import ConfigError, DataError, LabelError, unknown_name
from stargan_deploy.files.walk import found_at, image_files

PAPER_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
"""The five attributes of the paper's CelebA experiments."""

HELD_OUT_SHARE = 10
"""A list that is too short for the official split holds out one row in so many."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The labels that a training learns from a label file."""

    names: tuple[str, ...]
    """Attributes, or domains."""
    column: str | None = None
    """The column whose words are the domains; None for attributes, a column each."""

    def read(self, file: LabelFile) -> LabelRows:
        """The files with their labels."""
        if self.column is None:
            return file.read(self.names)
        return file.read_domains(self.column, self.names)


class ListedLayout(DataLayout):
    """Images and a label file: a column for each attribute, or one whose words are domains."""

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

    def split_files(self, root: Path) -> Mapping[Split, Path]:  # noqa: ARG002 - most have one
        """The label files of a folder that has one for each split; else none."""
        return {}

    def recognises(self, root: Path) -> bool:
        """Whether there is a label file."""
        return self.find(root) is not None or bool(self.split_files(root))

    def names_at_a_glance(self, root: Path) -> tuple[str, ...]:
        """The columns of the label file."""
        path = self._split_files(root).get("train") or (self.find(root) if root.is_dir() else root)
        file = LabelFile.peek(path) if path else None
        return file.names if file else ()

    def open(self, config: DataConfig, root: Path, split: Split) -> FileTable:
        """Opens the rows of a split, which `choose_rows` divides where one file has all."""
        files = self._split_files(root)
        trained = self.label_file(files.get("train", root))
        learned = self._learned(config, trained)
        if split in files and split != "train":
            trained = self.label_file(files[split])
        if "test" in files:
            config = replace(config, split="none")
        return self._table(config, trained, learned, split, root.resolve().name)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """All images that the file lists; remarks on rows and images that do not match."""
        files = self._split_files(root)
        found = Contents(layout=self.name)
        file = self.label_file(files.get("train", root))
        learned = self._learned(config, file, everything=True)
        config = replace(config, split="none")
        for split in SPLITS if "test" in files else SPLITS[:1]:
            own = self.label_file(files[split]) if split == "test" else file
            table = self._table(config, own, learned, split, root.name)
            found.remarks += _remarks(own, table)
            found.add(_without_repeats(table), split=split if "test" in files else "")
        return found

    def _split_files(self, root: Path) -> Mapping[Split, Path]:
        is_divided = found_at(root) == "folder" and self.find(root) is None
        return self.split_files(root) if is_divided else {}

    def _table(
        self, config: DataConfig, file: LabelFile, learned: Learned, split: Split, title: str
    ) -> FileTable:
        rows = learned.read(file)
        if not rows.files:
            raise DataError(f"{file.path} has no row of {', '.join(learned.names)}")
        is_full = len(rows.files) >= self.full_split_from
        number = NUM_HELD_OUT if is_full else len(rows.files) // HELD_OUT_SHARE
        chosen = self._choose(config, file, rows, split, number)
        files = image_folder(file, rows.files)
        names = [files.find(name) for name in rows.files]
        rows.refuse_contradictions(file.path, names)
        table = FileTable(
            files.folder,
            [names[index] for index in chosen],
            rows.labels[chosen],
            label_space=self._label_space(config, file, learned),
            description=title,
        )
        table.notes = tuple(_renamed(file, files, len(names)))
        if config.split == "official" and not is_full:
            table.notes += (_short_split(len(rows.files), number),)
        return table

    def _choose(
        self, config: DataConfig, file: LabelFile, rows: LabelRows, split: Split, number: int
    ) -> list[int]:
        """The indices of a split's rows.

        Raises:
            DataError: the scheme leaves none.
        """
        scheme: Scheme = config.split
        if scheme == "official" and not number:
            scheme = "none"
        chosen = choose_rows(
            rows.files, split, scheme, folder=file.path.parent, num_held_out=number
        )
        if not chosen:
            raise DataError(
                f"{file.path} has {len(rows.files)} rows, and data.split={scheme} leaves none for "
                f"{split} (official holds out {number})",
                hint="set data.split=none",
            )
        return chosen

    def label_names(self, root: Path) -> tuple[str, ...]:
        """All columns of the label file, or the domains in the one that has them."""
        file = self.label_file(self._split_files(root).get("train", root))
        return self._learned(DataConfig(), file, everything=True).names

    def _learned(self, config: DataConfig, file: LabelFile, *, everything: bool = False) -> Learned:
        """The attributes or domains to learn, or to count."""
        wanted = config.attributes
        column = _domain_column(file, wanted)
        domains = file.words_of(column) if column else None
        if column is None or domains is None:
            default = file.names if everything else self.default_attributes(file)
            return Learned(names=wanted or default)
        if wanted in ((), (column,)):
            return Learned(names=domains, column=column)
        for name in wanted:
            if name not in domains:
                raise LabelError(unknown_name("domain", name, domains, where=file.path.name))
        return Learned(names=wanted, column=column)

    def _label_space(self, config: DataConfig, file: LabelFile, learned: Learned) -> LabelSpace:
        if learned.column is None:
            groups = _groups(config, file, learned.names)
            return multilabel_space(learned.names, name=self.name, exclusive=groups)
        if config.exclusive:
            raise ConfigError("`data.exclusive` groups attributes, and domains exclude one another")
        return onehot_space(learned.names, name=self.name)


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
        lists = [path for path in texts[:NUM_PROBED] if _looks_like_list(path)]
        return lists[0] if len(lists) == 1 else None

    def label_file(self, root: Path) -> LabelFile:
        """Opens the attribute list."""
        path = root if found_at(root) == "file" else self.find(root)
        if path is None:
            raise DataError(f"{root} holds no list_attr_*.txt, so it is not in CelebA's layout")
        file = LabelFile(path)
        if not file.is_list and not file.is_well_formed():
            raise DataError(f"{path} does not start with a row count and attribute names")
        return file

    def default_attributes(self, file: LabelFile) -> tuple[str, ...]:
        """The paper's five; all of a list that lacks one of them."""
        return PAPER_ATTRIBUTES if set(PAPER_ATTRIBUTES) <= set(file.names) else file.names


class CsvLayout(ListedLayout):
    """Images and a CSV `file,Attribute1,Attribute2,...`, whose files are in its folder or below.

    It is the only CSV in its folder, the only one called `list_attr*`, or the only one that names
    files that are there; or it is named itself. `train` and `test` may have a CSV each, inside or
    by these names.
    """

    name = "csv"
    summary = "images and a CSV of labels"
    label_suffixes = (".csv", ".tsv")

    def find(self, root: Path) -> Path | None:
        """The CSV that names files in its first column, or None."""
        found = {path: file for path in _csv_files(root) if (file := LabelFile.peek(path))}
        if len(found) > 1:
            listed = [path for path in found if path.name.startswith("list_attr")]
            existing = [path for path, file in found.items() if names_existing(file)]
            found = {path: found[path] for path in (listed if len(listed) == 1 else existing)}
        good = [path for path, file in found.items() if file.names and _names_files(file)]
        return good[0] if len(good) == len(found) == 1 else None

    def split_files(self, root: Path) -> Mapping[Split, Path]:
        """The CSVs in the folders `train` and `test`, or by these names."""
        inside = {split: path for split, f in split_folders(root).items() if (path := self.find(f))}
        named = {path.stem.lower(): path for path in _csv_files(root)}
        beside = {
            split: named[name]
            for split, names in SPLIT_NAMES.items()
            for name in reversed(names)
            if name in named and (file := LabelFile.peek(named[name])) and names_existing(file)
        }
        found = inside or beside
        if "train" not in found:
            return {}
        files: dict[Split, Path] = {"train": found["train"]}
        if held_out := found.get("test") or found.get("val"):
            files["test"] = held_out
        return files

    def label_file(self, root: Path) -> LabelFile:
        """Opens the CSV."""
        path = self.find(root) if root.is_dir() else root
        if path is not None:
            return LabelFile(path)
        found = _csv_files(root)
        if len(found) == 1 and LabelFile.peek(found[0]) is None:
            return LabelFile(found[0])  # says what is wrong with it
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{root} does not hold exactly one CSV that starts with file,Attribute1,...: found "
            f"{names}",
            hint="name the file itself with `root`",
        )

    def default_attributes(self, file: LabelFile) -> tuple[str, ...]:
        """All columns."""
        if not file.names or not all(file.names):
            raise DataError(
                f"{file.path} does not name its columns (file,Attribute1,...)",
                hint="choose some with `attributes`",
            )
        return file.names


def _domain_column(file: LabelFile, wanted: Sequence[str]) -> str | None:
    """The column whose words may be domains: the only one, the wanted one, or of wanted words."""
    if not wanted:
        return file.names[0] if len(file.names) == 1 else None
    if any(name in file.names for name in wanted):
        return wanted[0] if len(wanted) == 1 else None
    return file.column_of_words()


def _remarks(file: LabelFile, table: FileTable) -> list[str]:
    """Remarks on rows and images that do not match."""
    remarks, names = list(table.notes), set(table.names)
    if file.num_rows_said not in (None, len(table)):
        said = f"{len(table)} rows, and says {file.num_rows_said}: is it whole?"
        remarks.append(f"{file.path.name} has {said}")
    beside = [path.relative_to(table.folder).as_posix() for path in image_files(table.folder)]
    if unnamed := [name for name in beside if name not in names]:
        remarks.append(f"{len(unnamed)} images have no row, such as {unnamed[0]}")
    if repeated := len(table) - len(names):
        remarks.append(f"{repeated} rows name an image that an earlier row names")
    return remarks


def _without_repeats(table: FileTable) -> FileTable:
    rows = {name: row for row, name in reversed([*enumerate(table.names)])}
    first = sorted(rows.values())
    return FileTable(
        table.folder,
        [table.names[row] for row in first],
        table.labels[first],
        label_space=table.label_space,
        description=table.description,
    )


def _renamed(file: LabelFile, files: FileNames, num_rows: int) -> list[str]:
    """A line about files that have other endings or cases than the list says, if there are any."""
    if not files.changed:
        return []
    listed, found = next(iter(files.changed.items()))
    return [
        f"{len(files.changed):,} of {num_rows:,} files of {file.path.name} have another ending or "
        f"case there: {listed} is {found}"
    ]


def _short_split(num_rows: int, num_held_out: int) -> str:
    found = f"{num_rows:,} labelled images are too few for the official split of {NUM_HELD_OUT:,}"
    if not num_held_out:
        return f"{found}: none is held out, so that samples and evaluation see images of training"
    return f"{found}: {num_held_out:,} of them, drawn at random, are held out"


def _csv_files(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in CsvLayout.label_suffixes)
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def _looks_like_list(path: Path) -> bool:
    """Whether a text begins like CelebA's list: a number, names, and a file with its values."""
    file = LabelFile.peek(path)
    return file is not None and file.is_list and file.is_well_formed()


def _names_files(file: LabelFile) -> bool:
    return file.names_its_files or names_existing(file)


def _groups(config: DataConfig, file: LabelFile, learned: Sequence[str]) -> Groups:
    """The groups of a recipe and a file that matter for the attributes to learn."""
    groups = resolve_groups((*config.exclusive, *file.exclusive), file.names)
    left = (tuple(name for name in group if name in learned) for group in groups)
    return tuple(group for group in left if len(group) > 1)
