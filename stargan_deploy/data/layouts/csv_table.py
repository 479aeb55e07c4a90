"""Images and a CSV of their attributes: `file,Attr1,Attr2,...`, then a row for each image.

Files are named relative to the CSV's folder, or to a folder of images beside it.
"""

from collections.abc import Sequence
from pathlib import Path

from stargan_deploy.data.config import DataConfig, Scheme
from stargan_deploy.data.layout import Contents, DataLayout
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.table import ListedImages
from stargan_deploy.data.source import ImageSource, Split
from stargan_deploy.errors import DataError

FILE_COLUMNS = frozenset(
    ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "name", "path")
)
"""Names, in lower case, of a first column by which a CSV is recognised as a table of images."""

HELD_OUT_SHARE = 10
"""The official split holds out one row in so many, where that is fewer than CelebA's 1,999."""


class CsvTable(ListedImages):
    """Images with the attributes of a CSV.

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
        file = LabelFile(_only_csv(Path(root)))
        wanted = tuple(attributes) or file.names
        if not wanted or not all(wanted):
            raise DataError(
                f"{file.path} does not name its columns (file,Attribute1,...)",
                hint="choose some with `attributes`",
            )
        super().__init__(
            file,
            wanted,
            split=split,
            scheme=scheme,
            held_out_share=HELD_OUT_SHARE,
            set_name="csv",
            description=Path(root).resolve().name,
        )


class CsvLayout(DataLayout):
    """Images and a CSV of attributes."""

    name = "csv"
    summary = "images and a CSV of attributes"
    is_automatic = True
    label_suffixes = (".csv",)

    def recognises(self, root: Path) -> bool:
        """Whether there is one CSV that names files."""
        return find_csv(root) is not None

    def open(self, config: DataConfig, root: Path, split: Split) -> ImageSource:
        """Opens the rows of a split."""
        return CsvTable(root, attributes=config.attributes, split=split, scheme=config.split)

    def contents(self, config: DataConfig, root: Path) -> Contents:
        """All rows."""
        return CsvTable(root, attributes=config.attributes, scheme="none").contents(self.name)


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
            f"{names}",
            hint="name the file itself with `root`",
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
