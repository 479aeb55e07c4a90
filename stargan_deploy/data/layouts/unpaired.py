"""Two domains of images without pairs, as CycleGAN learns from."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layout import SERVE_BOTH, Contents, DataLayout
from stargan_deploy.data.layouts.folders import files_by_domain, split_folder
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import SPLITS, ChainedSources, ImageSource, Split
from stargan_deploy.errors import DataError, LabelError, unknown_name
from stargan_deploy.files.walk import found_at, image_files

NUM_DOMAINS = 2

LETTERS = {"trainA": "A", "trainB": "B"}
"""Domains by their folders in CycleGAN's own data sets."""

HOW_TO_NAME = "name A and B with `attributes`"


class UnpairedDomains(ChainedSources):
    """Domains A and B, each in an order of its own.

    As one source it is all images of A, then all of B; batches are made of its `domains`.

    Args:
        root: folders `trainA`, `trainB`, `testA` and `testB`; or a folder for each domain,
            also below `train` and `test`.
        domains: names of the folders of A and B; empty takes the only two there are. They are
            mere names where the root has `trainA` or `trainB` and no folders of these names.
        split: "train" or "test"; without such folders all images serve both.

    Raises:
        DataError: a domain is missing or holds no images, or it is not clear which two are meant.
        LabelError: one domain is named as both.
    """

    def __init__(self, root: Path, *, domains: Sequence[str] = (), split: Split = "train") -> None:
        folders = domain_folders(Path(root), domains, split)
        super().__init__([open_domain(folder) for folder in folders])
        self.labels = np.zeros((len(self), 0), np.float32)
        names = " and ".join(folder.name for folder in folders)
        self.description = f"{Path(root).resolve().name} ({names})"

    @property
    def domains(self) -> Mapping[str, ImageSource]:
        """Both domains, by the names of their images in a batch."""
        return dict(zip(("image_a", "image_b"), self.sources, strict=True))


class UnpairedLayout(DataLayout):
    """Two domains without pairs."""

    name = "unpaired"
    recipe = "cyclegan"
    summary = "two domains without pairs (data.kind = unpaired)"

    def recognises(self, root: Path) -> bool:
        """Whether there is a folder `trainA` or `trainB`."""
        return has_lettered_folders(root)

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens both domains of a split."""
        return UnpairedDomains(root, domains=config.attributes, split=split)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """The images of each domain and split."""
        found = Contents(layout=self.name)
        folders = {
            split: found.attempt(partial(domain_folders, root, config.attributes, split))
            for split in SPLITS
        }
        if folders["train"] and folders["train"] == folders["test"]:
            found.remarks.append(SERVE_BOTH)
            folders["test"] = None
        for split, pair in folders.items():
            for letter, folder in zip("AB", pair or (), strict=False):
                source = found.attempt(partial(open_domain, folder))
                if source is not None:
                    found.add(source, split=split, domain=letter)
        found.require_groups()
        found.remark_unused(root)
        return found


def open_domain(folder: Path) -> FileTable:
    """Opens the images of one domain.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; two domains are needed, A and B")
    files = image_files(folder)
    if not files:
        raise DataError(f"{folder} holds no images; two domains are needed, a folder for each")
    return FileTable(folder, files, description=folder.name)


def has_lettered_folders(root: Path, split: Split = "train") -> bool:
    """Whether there is a folder `trainA` or `trainB`, as in CycleGAN's own data sets."""
    return any((root / f"{split}{letter}").is_dir() for letter in "AB")


def domain_folders(root: Path, domains: Sequence[str], split: Split) -> list[Path]:
    """The folders of A and B; one of those called by these letters may be missing.

    Raises:
        DataError: it is not clear which two are meant, or one that is named has no images.
        LabelError: one domain is named as both.
    """
    if domains and len(domains) != NUM_DOMAINS:
        raise DataError(f"two domains are needed, A and B, not {len(domains)}: {list(domains)}")
    if len(set(domains)) < len(domains):
        raise LabelError(f"two domains are needed, and {domains[0]!r} is named twice")
    if letters := _letters(root, domains):
        stem = split if has_lettered_folders(root, split) else "train"
        return [root / f"{stem}{letter}" for letter in letters]
    base = split_folder(root, split)
    known = files_by_domain(base)
    if not domains and len(known) != NUM_DOMAINS:
        raise DataError(
            f"two domains are needed, a folder for each, and {base} has {len(known)} "
            f"({', '.join(known) or 'none'})",
            hint=HOW_TO_NAME,
        )
    for name in domains:
        if name not in known:
            complaint = unknown_name("domain", name, known, where=str(base))
            raise DataError(complaint, hint=HOW_TO_NAME)
    return [base / name for name in domains or known]


def _letters(root: Path, domains: Sequence[str]) -> list[str]:
    """The letters of the domains in their order; none where other folders are meant."""
    if not has_lettered_folders(root):
        return []
    if domains and set(domains) == set(LETTERS):
        return [LETTERS[name] for name in domains]
    is_there = any(name in LETTERS or found_at(root / name) == "folder" for name in domains)
    return [] if is_there else list(LETTERS.values())
