"""One folder per domain, as RaFD is laid out for the official code (`train/happy/*.jpg`)."""

from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.data.config import AUTO, DataConfig
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.listed_files import NUM_PROBED, names_existing
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, Split
from stargan_deploy.errors import DataError, LabelError, unknown_name
from stargan_deploy.files.formats import VIDEO_SUFFIXES
from stargan_deploy.files.walk import find_images, holds_images, image_files, subfolders

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of a split's folder in lower case, the usual one first."""

LABEL_SUFFIXES = (".txt", ".csv", ".tsv")
"""Endings of label files, in lower case."""

LABEL_WORDS = ("attr", "label", "anno")
"""Parts of the names of label files."""


class FoldersLayout(DataLayout):
    """A folder of images for each domain, of which an image has exactly one.

    There may be `train` and `test` with these folders. The domains are those of the training
    images, whatever the held-out ones have; without `test` all images serve both splits.
    """

    name = "folders"
    summary = "a folder of images per domain"
    is_automatic = True

    def recognises(self, root: Path) -> bool:
        """Whether there are two folders of images."""
        folders = filter(holds_images, subfolders(split_folder(root, "train")))
        return len(list(islice(folders, 2))) == 2

    def names_at_a_glance(self, root: Path) -> tuple[str, ...]:
        """The folders with images."""
        folders = subfolders(split_folder(root, "train"))
        return tuple(folder.name for folder in folders if holds_images(folder))

    def open(self, config: DataConfig, root: Path, split: Split) -> FileTable:
        """Opens the images of a split."""
        trained, base = split_folder(root, "train"), split_folder(root, split)
        known = files_by_domain(trained)
        if len(known) < 2:
            if config.kind == AUTO:
                _refuse_labels(root)
            raise DataError(
                f"{trained} is neither in CelebA's layout (list_attr_*.txt), nor has it one CSV "
                "(file,Attribute1,...), which may also be given itself, nor at least two folders "
                f"of images, one for each domain; found folders of images: "
                f"{', '.join(known) or 'none'}"
            )
        if not config.attributes:
            _refuse_unread(trained, known)
            _refuse_splits(trained, known)
            if config.kind == AUTO:
                _refuse_labels(root)
        for name in config.attributes:
            if name not in known:
                raise LabelError(unknown_name("domain", name, known, where=str(trained)))
        wanted = config.attributes or tuple(known)
        files = known if base == trained else files_by_domain(base)
        rows = [(path, i) for i, name in enumerate(wanted) for path in files.get(name, [])]
        if not rows:
            raise DataError(f"{base} holds no images of {', '.join(wanted)}")
        return FileTable(
            base,
            [path for path, _ in rows],
            np.eye(len(wanted), dtype=np.float32)[[index for _, index in rows]],
            label_space=onehot_space(wanted),
            description=root.resolve().name,
        )

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """The images of both splits, whose labels are counted together."""
        train, test = (self.open(config, root, split) for split in SPLITS)
        found = Contents(layout=self.name)
        for table in (train, test) if test.folder != train.folder else (train,):
            found.add(table)
        found.remark_unused(root, "belong to no domain")
        return found


def _refuse_splits(base: Path, domains: Iterable[str]) -> None:
    """Refuses folders that all hold folders of the same names, which are likely the domains."""
    inner = [tuple(folder.name for folder in subfolders(base / name)) for name in domains]
    if len(inner[0]) > 1 and len(set(inner)) == 1:
        raise DataError(
            f"the folders in {base} ({', '.join(domains)}) all hold the same folders "
            f"({', '.join(inner[0])}), so the domains seem to be one level below",
            hint="call the folder to train on train, or name the domains with `attributes`",
        )


def _refuse_unread(base: Path, known: Collection[str]) -> None:
    """Refuses to lose a domain because none of its photos is of a format that is read."""
    for folder in subfolders(base):
        unread = {} if folder.name in known else find_images(folder).num_unread
        if any(suffix not in VIDEO_SUFFIXES for suffix in unread):
            raise DataError(
                f"{folder} holds photos, but none that is read ({find_images(folder).note})",
                hint="name the domains to learn with `attributes` to go without it",
            )


def _refuse_labels(root: Path) -> None:
    """Refuses domains beside a file that lists labels by its name or rows, in no known form."""
    texts = [
        path
        for path in sorted(root.iterdir())
        if path.suffix.lower() in LABEL_SUFFIXES and not path.name.startswith(".")
    ]
    named = [path for path in texts if any(word in path.stem.lower() for word in LABEL_WORDS)]
    files = filter(None, map(LabelFile.peek, texts[:NUM_PROBED]))
    named += [file.path for file in files if names_existing(file)]
    if named:
        raise DataError(
            f"{named[0]} seems to list labels, but is neither CelebA's list nor the only CSV "
            "(file,Attribute1,...)",
            hint="give the file itself as `root`, or set data.kind=folders to take each folder "
            "for a domain",
        )


def files_by_domain(base: Path) -> dict[str, list[Path]]:
    """The images of each folder that has some."""
    return {folder.name: files for folder in subfolders(base) if (files := image_files(folder))}


def split_folder(root: Path, split: Split) -> Path:
    """The folder of a split; the root of a data set without `train`."""
    folders = split_folders(root)
    names = ("train",) if split == "train" else ("test", "val", "train")
    return next((folders[name] for name in names if name in folders), root)


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of splits by "train", "val" and "test", in any spelling; none without "train"."""
    exact_last = sorted(subfolders(root), key=lambda folder: folder.name == folder.name.lower())
    known = {folder.name.lower(): folder for folder in exact_last}
    found = {
        split: known[name]
        for split, names in SPLIT_NAMES.items()
        for name in reversed(names)
        if name in known
    }
    return found if "train" in found else {}


def required_images(folder: Path) -> list[Path]:
    """The images below a folder that must have some.

    Raises:
        DataError: it has none.
    """
    files = image_files(folder)
    if not files:
        note = find_images(folder).note
        raise DataError(f"{folder} holds no images{f' ({note})' if note else ''}")
    return files
