"""Images and a CSV of their attributes: `file,Attr1,Attr2,...`, then a row an image.

Files are named relative to the CSV's folder, or to a folder of images beside it.
"""

from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.data.layouts.celeba import IMAGE_FOLDERS
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.table import FileTable
from stargan_deploy.data.source import Scheme, Split
from stargan_deploy.data.splits import NUM_HELD_OUT, choose_rows
from stargan_deploy.errors import DataError
from stargan_deploy.files.walk import found_at

FILE_COLUMNS = frozenset(
    ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "name", "path")
)
"""Names, in lower case, of a first column by which a CSV is taken for a table of images."""

HELD_OUT_SHARE = 10
"""The official split holds out one row in so many, where that is fewer than CelebA's 1,999."""

NUM_PROBED = 20
"""Files that are looked for to find the folder they stand in."""


class CsvTable(FileTable):
    """Images with the attributes that a CSV tells.

    Args:
        root: the CSV, or the folder with one.
        attributes: the attributes to read, in label order; empty takes all columns.
        split: "train" or "test".
        scheme: how rows are held out (see `choose_rows`); "official" holds out a tenth of them,
            at most 1,999.

    Raises:
        DataError: no CSV, or several, a malformed row, no row in the split, or no image.
        LabelError: an attribute that the CSV does not have.
    """

    def __init__(
        self,
        root: Path,
        *,
        attributes: Sequence[str] = (),
        split: Split = "train",
        scheme: Scheme = "official",
    ) -> None:
        path = _only_csv(Path(root))
        file = LabelFile(path)
        wanted = tuple(attributes) or file.names
        if not wanted or not all(wanted):
            raise DataError(
                f"{path} does not name its columns (file,Attribute1,...); choose some with --attrs"
            )
        rows = file.read(wanted)
        number = min(NUM_HELD_OUT, len(rows.files) // HELD_OUT_SHARE)
        scheme = scheme if number or scheme == "partition" else "none"
        chosen = choose_rows(rows.files, split, scheme, folder=path.parent, num_held_out=number)
        if not chosen:
            raise DataError(f"{path}: data.split={scheme} leaves no row for {split}")
        super().__init__(
            _image_folder(path, rows.files),
            [rows.files[index] for index in chosen],
            rows.labels[chosen],
            label_space=multilabel_space(wanted, name="csv"),
            description=Path(root).resolve().name,
        )


def find_csv(folder: Path) -> Path | None:
    """The CSV that makes a folder a table of images, or None.

    It is the only CSV there, or the only one called `list_attr*`, and names files in its first
    column.
    """
    found = _csv_files(folder)
    if len(found) > 1:
        found = [path for path in found if path.name.startswith("list_attr")]
    return found[0] if len(found) == 1 and _names_files(found[0]) else None


def _only_csv(root: Path) -> Path:
    if not root.is_dir():
        return root
    path = find_csv(root)
    if path is None:
        names = ", ".join(path.name for path in _csv_files(root)) or "none"
        raise DataError(
            f"{root} does not hold exactly one CSV that starts with file,Attribute1,...: found "
            f"{names}; name the file itself as data.root"
        )
    return path


def _csv_files(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def _names_files(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            header = stream.readline(1 << 16)
    except OSError:
        return False
    first, comma, _ = header.partition(",")
    return bool(comma) and first.strip().strip('"').lower() in FILE_COLUMNS


def _image_folder(path: Path, files: Sequence[str]) -> Path:
    """The folder that holds the most of the first files."""
    nested = (f"{name}/{name}" for name in IMAGE_FOLDERS)  # as archives are unpacked on Kaggle
    candidates = [path.parent / name for name in (".", *IMAGE_FOLDERS, *nested)]
    probed = files[:NUM_PROBED]
    found = [sum(found_at(folder / file) == "file" for file in probed) for folder in candidates]
    if not max(found):
        raise DataError(
            f"{path}: none of its first {len(probed)} files ({probed[0]!r}, ...) stands in "
            f"{path.parent} or {path.parent / 'images'}"
        )
    return candidates[found.index(max(found))]
