"""One folder per domain, as RaFD is laid out for the official code (`train/happy/*.jpg`)."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from stargan_deploy.card.labels import onehot_space
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import Contents, DataLayout, Findings, group_of
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, ImageSource, Split
from stargan_deploy.errors import DataError, LabelError, unknown_name
from stargan_deploy.files.walk import holds_images, image_files, subfolders


class FolderPerDomain(FileTable):
    """Domains of which each image has exactly one, named by its folder.

    Args:
        root: holds a folder for each domain, or `train` and `test` with a folder for each.
        domains: the domains to read, in label order; empty takes all, sorted by name.
        split: "train" or "test"; without such folders all images serve both.

    The domains are those of the training images, whatever the held-out ones have.

    Raises:
        DataError: no folders with images, or none of the domains in the split.
        LabelError: a domain without a folder.
    """

    def __init__(self, root: Path, *, domains: Sequence[str] = (), split: Split = "train") -> None:
        trained, base = split_folder(Path(root), "train"), split_folder(Path(root), split)
        known = files_by_domain(trained)
        if len(known) < 2:
            raise DataError(
                f"{trained} is neither in CelebA's layout (list_attr_*.txt), nor has it one CSV "
                "(file,Attribute1,...), nor at least two folders of images, one for each domain; "
                f"found folders of images: {', '.join(known) or 'none'}"
            )
        for name in domains:
            if name not in known:
                raise LabelError(unknown_name("domain", name, known, where=str(trained)))
        wanted = tuple(domains) or tuple(known)
        files = known if base == trained else files_by_domain(base)
        rows = [(path, i) for i, name in enumerate(wanted) for path in files.get(name, [])]
        if not rows:
            raise DataError(f"{base} holds no images of {', '.join(wanted)}")
        super().__init__(
            base,
            [str(path.relative_to(base)) for path, _ in rows],
            np.eye(len(wanted), dtype=np.float32)[[index for _, index in rows]],
            label_space=onehot_space(wanted),
            description=Path(root).resolve().name,
        )


class FoldersLayout(DataLayout):
    """A folder of images for each domain."""

    name = "folders"
    summary = "a folder of images per domain"
    is_automatic = True

    def recognises(self, root: Path) -> bool:
        """Whether there are two folders of images."""
        folders = filter(holds_images, subfolders(split_folder(root, "train")))
        return len(list(islice(folders, 2))) == 2

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the images of a split."""
        return FolderPerDomain(root, domains=config.attributes, split=split)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """The images of both splits, whose labels are counted together."""
        tables = [FolderPerDomain(root, domains=config.attributes, split=s) for s in SPLITS]
        found = Findings(groups=[group_of(tables[0])])
        if tables[1].folder != tables[0].folder:
            found.groups.append(group_of(tables[1]))
        return found.contents(self.name, root, unused="belong to no domain")


def files_by_domain(base: Path) -> dict[str, list[Path]]:
    """The images of each folder that has some."""
    return {folder.name: files for folder in subfolders(base) if (files := image_files(folder))}


def split_folder(root: Path, split: Split) -> Path:
    """The folder of a split; the root of a data set without `train`."""
    folders = split_folders(root)
    names = ("train",) if split == "train" else ("test", "val", "train")
    return next((folders[name] for name in names if name in folders), root)


def split_folders(root: Path) -> dict[str, Path]:
    """The folders `train`, `val` and `test` that there are; none without `train`."""
    folders = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    return folders if "train" in folders else {}


def required_images(folder: Path) -> list[Path]:
    """The images below a folder that must have some.

    Raises:
        DataError: it has none.
    """
    files = image_files(folder)
    if not files:
        raise DataError(f"{folder} holds no images")
    return files
