"""Which layout a data folder has, by what stands in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from stargan_deploy.data.layouts.celeba import find_attribute_file
from stargan_deploy.data.layouts.csv_table import find_csv
from stargan_deploy.data.layouts.idx import holds_idx
from stargan_deploy.data.layouts.unpaired import has_lettered_folders
from stargan_deploy.errors import ConfigError, DataError
from stargan_deploy.files.walk import found_at

TrainedLayout = Literal["celeba", "csv", "folders"]
"""Layouts that a training finds by itself; the others must be named by `data.kind`."""


def find_layout(root: Path) -> TrainedLayout:
    """The layout that a training takes where `data.kind` is "auto".

    Raises:
        DataError: there is no such folder or CSV file.
    """
    found = found_at(root)
    if found == "file" and root.suffix.lower() == ".csv":
        return "csv"
    if found != "folder":
        raise DataError(f"no such data folder, nor a .csv file: {root}")
    if find_attribute_file(root):
        return "celeba"
    return "csv" if find_csv(root) else "folders"


def recognise(root: Path) -> TrainedLayout | Literal["idx", "unpaired"]:
    """The layout that a folder most likely has, that of the other families' data among them.

    Raises:
        DataError: there is no such folder or CSV file.
    """
    layout = find_layout(root)
    if layout == "folders" and holds_idx(root):
        return "idx"
    return "unpaired" if layout == "folders" and has_lettered_folders(root) else layout


def require_root(root: Path, kind: str) -> None:
    """Refuses what cannot be a data set of its kind.

    Raises:
        DataError: there is no such folder, nor is it a CSV's file.
    """
    found = found_at(root)
    if found != "folder" and (kind, found) != ("csv", "file"):
        raise DataError(f"no such data folder: {root}")


def refuse_attributes(kind: str, attributes: Sequence[str]) -> None:
    """Refuses attributes of a kind that has none.

    Raises:
        ConfigError: there are some.
    """
    if attributes:
        raise ConfigError(f"{kind!r} images have no attributes to choose from")
