"""What a data folder holds: its layout, its images, its labels, and what is wrong with it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.data.celeba import CelebA, find_attribute_file
from stargan_deploy.data.csv_table import CsvTable
from stargan_deploy.data.folders import FolderPerDomain
from stargan_deploy.data.label_file import LabelFile
from stargan_deploy.data.layout import find_layout
from stargan_deploy.data.prepared import NUM_DECODERS
from stargan_deploy.data.source import image_files
from stargan_deploy.data.table import FileTable
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.images import load_image

NUM_SIZES = 5
"""Sizes that a report names."""

Layout = Literal["celeba", "csv", "folders", "images"]
"""CelebA's layout, a CSV, a folder a domain, or images without labels."""


@dataclass(frozen=True, kw_only=True)
class BrokenImage:
    """An image that cannot be read."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """A size in pixels, and how many images have it."""

    width: int
    height: int
    num_images: int


@dataclass(frozen=True, kw_only=True)
class FolderReport:
    """What `check_folder` found."""

    root: str
    layout: Layout
    num_images: int
    """Images that the layout names, broken ones included."""
    num_colour: int
    num_grey: int
    """Images whose three channels are equal."""
    sizes: tuple[Size, ...]
    """The most common sizes, most common first."""
    smallest: Size | None
    """The least size by area; absent where no image can be read."""
    largest: Size | None
    labels: dict[str, int]
    """Number of images that carry each label."""
    together: dict[str, dict[str, int]]
    """Number of images that carry two labels at once."""
    broken: tuple[BrokenImage, ...]
    remarks: tuple[str, ...]
    """What looks wrong beside broken images."""


def check_folder(
    root: Path,
    *,
    attributes: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> FolderReport:
    """Reads a data folder as a training would, and decodes every image in it.

    Args:
        root: a folder, or a CSV file.
        attributes: labels to count; empty counts all.
        progress: called with the number of images read and the number of all.

    Raises:
        DataError: there is no such folder, no image in it, or its labels cannot be read.
        LabelError: an attribute that the folder does not know.
    """
    contents = _read_contents(root, attributes)
    sizes: Counter[tuple[int, int]] = Counter()
    broken: list[BrokenImage] = []
    num_grey = 0
    for done, (path, look) in enumerate(_look_at_all(contents.paths), start=1):
        progress(done, len(contents.paths))
        if isinstance(look, str):
            broken.append(BrokenImage(file=str(path), reason=look))
        else:
            sizes[look.size] += 1
            num_grey += look.is_grey
    ordered = [Size(width=w, height=h, num_images=n) for (w, h), n in sizes.most_common()]
    by_area = sorted(ordered, key=lambda size: size.width * size.height)
    counts, together = _count_labels(contents.tables)
    return FolderReport(
        root=str(root),
        layout=contents.layout,
        num_images=len(contents.paths),
        num_colour=sizes.total() - num_grey,
        num_grey=num_grey,
        sizes=tuple(ordered[:NUM_SIZES]),
        smallest=by_area[0] if by_area else None,
        largest=by_area[-1] if by_area else None,
        labels=counts,
        together=together,
        broken=tuple(broken),
        remarks=contents.remarks,
    )


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """What a folder names, before any image is decoded."""

    layout: Layout
    tables: tuple[FileTable, ...] = ()
    paths: list[Path]
    """Each image once."""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Look:
    size: tuple[int, int]
    is_grey: bool


def _look_at_all(paths: Sequence[Path]) -> Iterator[tuple[Path, _Look | str]]:
    with ThreadPoolExecutor(NUM_DECODERS) as pool:
        yield from zip(paths, pool.map(_look_at, paths), strict=True)


def _look_at(path: Path) -> _Look | str:
    """Size and colour of an image, or why it cannot be read."""
    try:
        image = load_image(path)
    except ImageError as error:
        return str(error)
    return _Look(size=image.size, is_grey=_is_grey(image))


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (band.tobytes() for band in image.split())
    return red == green == blue


def _read_contents(root: Path, attributes: Sequence[str]) -> _Contents:
    layout = find_layout(root)
    if layout == "celeba":
        return _celeba(root, attributes)
    if layout == "csv":
        return _listed("csv", CsvTable(root, attributes=attributes, scheme="none"))
    try:
        return _folders(root, attributes)
    except DataError:
        images = image_files(root)
        if attributes or not images:
            raise
        return _Contents(layout="images", paths=images)


def _celeba(root: Path, attributes: Sequence[str]) -> _Contents:
    path = find_attribute_file(root)
    assert path is not None, "this is how the layout was found"
    file = LabelFile(path)
    table = CelebA(root, attributes=attributes or file.names, scheme="none")
    if file.num_rows_said == len(table):
        return _listed("celeba", table)
    said = f"{path.name} has {len(table)} rows, and says {file.num_rows_said}: is it whole?"
    return _listed("celeba", table, said)


def _listed(layout: Layout, table: FileTable, *remarks: str) -> _Contents:
    """Images that a list names; says which stand beside them unnamed."""
    names = dict.fromkeys(table.names)
    beside = [path.relative_to(table.folder).as_posix() for path in image_files(table.folder)]
    unnamed = [name for name in beside if name not in names]
    if unnamed:
        remarks += (f"{len(unnamed)} images have no row, such as {unnamed[0]}",)
    if len(names) < len(table):
        remarks += (f"{len(table) - len(names)} rows name an image that an earlier row names",)
    paths = [table.folder / name for name in names]
    return _Contents(layout=layout, tables=(table,), paths=paths, remarks=remarks)


def _folders(root: Path, domains: Sequence[str]) -> _Contents:
    train = FolderPerDomain(root, domains=domains)
    test = FolderPerDomain(root, domains=domains, split="test")
    tables = (train,) if test.folder == train.folder else (train, test)
    paths = [table.folder / name for table in tables for name in table.names]
    others = set(image_files(root)) - set(paths)
    first = min(others, default=root)
    remarks = (f"{len(others)} images belong to no domain, such as {first}",) if others else ()
    return _Contents(layout="folders", tables=tables, paths=paths, remarks=remarks)


def _count_labels(
    tables: Sequence[FileTable],
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """How many images carry each label, and each two."""
    if not tables:
        return {}, {}
    names = tables[0].label_space.names
    labels_NK = np.concatenate([table.labels for table in tables])
    pairs = (labels_NK.T @ labels_NK).round().astype(int).tolist()
    rows = [dict(zip(names, row, strict=True)) for row in pairs]
    together = dict(zip(names, rows, strict=True))
    return {name: together[name][name] for name in names}, together
