"""Source labels from a file: a CSV with a header, or CelebA's attribute list.

CSV: `file,Attr1,Attr2,...`, then a row a photo. CelebA's list: a count, the attribute names, then a
row a photo, separated by blanks. Values are 1, and 0 or -1; further columns are passed over.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from stargan_deploy.errors import DataError
from stargan_deploy.labels import FloatArray, LabelSpace, Target
from stargan_deploy.translation.targets import depends_on_source

VALUES = {"1": 1.0, "+1": 1.0, "0": 0.0, "-1": 0.0}


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Source labels by file."""

    path: Path
    rows: dict[str, FloatArray]
    """Labels (K,) of zeros and ones by relative path, with forward slashes, or by bare name."""

    def find(self, photo: PurePosixPath) -> FloatArray | None:
        """The labels of a photo: the row of its relative path, else of its name, else None."""
        found = self.rows.get(photo.as_posix())
        return self.rows.get(photo.name) if found is None else found


def read_label_table(path: Path, space: LabelSpace, *, needed: Sequence[str]) -> LabelTable:
    """Reads source labels.

    Args:
        path: a CSV file or a CelebA attribute list.
        space: the model's labels, in whose order the rows are given.
        needed: names that the file must have; others that it lacks count as absent.

    Raises:
        DataError: no such file, a column that is missing, or a row that cannot be read.
    """
    header, rows = _read_rows(path)
    missing = [name for name in needed if name not in header]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}; it must have {', '.join(needed)} for these "
            "targets (the first line of a CSV file is: file,Attribute1,Attribute2,...)"
        )
    columns = {name: header.index(name) for name in space.names if name in header}
    table: dict[str, FloatArray] = {}
    for number, row in rows:
        labels = _parse_row(row, len(header), columns, space, where=f"{path}, line {number}")
        name = row[0].strip().replace("\\", "/").removeprefix("./")
        if not np.array_equal(table.setdefault(name, labels), labels):
            raise DataError(f"{path}, line {number} contradicts an earlier row of {name!r}")
    return LabelTable(path=path, rows=table)


def needed_names(space: LabelSpace, targets: Sequence[Target]) -> tuple[str, ...]:
    """The labels that must be known of a photo to reach the targets: those of whole label sets."""
    sets = {target.set_index for target in targets if depends_on_source(space, target)}
    return tuple(name for index in sorted(sets) for name in space.sets[index].names)


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, with the file's column first, and (line number, cells) of every row."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataError(
            f"no such label file: {path}; --source takes predict, zeros, or a file"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the label file {path}: {error}") from error
    if lines and lines[0].strip().isdigit():
        cells = [(i, line.split()) for i, line in enumerate(lines[1:], start=2)]
        cells[:1] = [(i, ["file", *names]) for i, names in cells[:1]]
    else:
        cells = _csv_cells(lines, path)
    cells = [(i, row) for i, row in cells if any(cell.strip() for cell in row)]
    if len(cells) < 2:
        raise DataError(f"{path} holds no labels: it needs a line of names and rows below it")
    return [name.strip() for name in cells[0][1]], cells[1:]


def _csv_cells(lines: list[str], path: Path) -> list[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is not CSV: {error}") from error


def _parse_row(
    row: list[str], width: int, columns: dict[str, int], space: LabelSpace, *, where: str
) -> FloatArray:
    if len(row) != width:
        raise DataError(f"{where} has {len(row)} columns, but the header has {width}")
    texts = {name: row[column].strip() for name, column in columns.items()}
    odd = next((name for name, text in texts.items() if text not in VALUES), None)
    if odd is not None:
        raise DataError(f"{where}: {odd} is {texts[odd]!r}, but must be 1, 0 or -1")
    return np.array([VALUES[texts.get(name, "0")] for name in space.names], np.float32)
