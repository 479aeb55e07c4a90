"""Label files: a CSV with a header, or CelebA's attribute list.

CSV: `file,Attr1,Attr2,...`, then a row for each image. Lines before the header that begin with #
are comments; `# exclusive: Attr1,Attr2` declares attributes of which an image has at most one.
CelebA's list: the number of rows, the attribute names, then a row for each image, separated by
blanks. Values are 1 or true, and 0, -1 or false. Either line ending and a byte order mark are read.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stargan_deploy.card.labels import Groups
from stargan_deploy.data.source import Labels
from stargan_deploy.errors import DataError, LabelError, unknown_name

VALUES = {"1": 1.0, "+1": 1.0, "true": 1.0, "0": 0.0, "-1": 0.0, "false": 0.0}
"""Values of a cell, in lower case."""

_EXCLUSIVE = re.compile(r"#\s*exclusive\s*:(.*)", re.IGNORECASE)

Cells = tuple[int, list[str]]
"""A line's number, from one, and its cells."""


@dataclass(frozen=True, kw_only=True)
class LabelRows:
    """Some columns of a label file."""

    files: list[str]
    """The first cell of each row, with forward slashes."""
    labels: Labels
    """Zeros and ones (N, K) in the order of the columns asked for."""
    lines: list[int]
    """Number of each row's line in the file."""


class LabelFile:
    """A file of labels of images; its rows are read when asked for.

    Args:
        path: a CSV file or a CelebA attribute list.

    Raises:
        DataError: it cannot be read, or holds no row below its line of names.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        comments, self._lines = _without_comments(read_lines(self.path))
        self.exclusive: Groups = tuple(
            map(_group_of, filter(None, map(_EXCLUSIVE.match, comments)))
        )
        """Groups of attributes that the file says exclude one another."""
        first_line = self._lines[0].strip() if self._lines else ""
        self.is_list = first_line.isdecimal()
        """Whether this is CelebA's list rather than a CSV."""
        self.num_rows_said = int(first_line[:18]) if self.is_list else None
        """Number of rows that CelebA's list claims to have."""
        rows = self._rows()
        header, first = next(rows, None), next(rows, None)
        if header is None or first is None:
            raise DataError(f"{path} holds no labels: it needs a line of names and rows below it")
        self._width = len(header[1])
        self.names = tuple(name.strip() for name in header[1][1:])
        """The attributes, in the order of the file."""

    def read(self, names: Sequence[str]) -> LabelRows:
        """Reads some attributes of all images; other columns may hold anything.

        Raises:
            LabelError: a name that the file does not have.
            DataError: a name of two columns, a row of another length, or a value that is not valid.
        """
        columns = [self._column(name) for name in names]
        files, labels, lines = [], [], []
        for line, row in self._body():
            if len(row) != self._width:
                raise DataError(
                    f"{self.path}, line {line} has {len(row)} columns, but the header has "
                    f"{self._width}"
                )
            files.append(row[0].strip().replace("\\", "/").removeprefix("./"))
            labels.append([self._value(row[column], column, line) for column in columns])
            lines.append(line)
        table = np.array(labels, np.float32).reshape(len(files), len(names))
        self._refuse_contradictions(files, labels, lines)
        return LabelRows(files=files, labels=table, lines=lines)

    def _refuse_contradictions(
        self, files: Sequence[str], labels: Sequence[Sequence[float]], lines: Sequence[int]
    ) -> None:
        """Refuse rows that label one file in two ways; equal rows do no harm."""
        first: dict[str, int] = {}
        for row, file in enumerate(files):
            earlier = first.setdefault(file, row)
            if labels[earlier] != labels[row]:
                raise DataError(
                    f"{self.path} labels {file} in two ways, in lines {lines[earlier]} and "
                    f"{lines[row]}",
                    hint="delete one of them",
                )

    def _column(self, name: str) -> int:
        if name not in self.names:
            raise LabelError(unknown_name("attribute", name, self.names, where=self.path.name))
        if self.names.count(name) > 1:
            raise DataError(f"{self.path} has two columns {name!r}; rename one")
        return self.names.index(name) + 1

    def _value(self, cell: str, column: int, line: int) -> float:
        value = VALUES.get(cell)
        if value is None:
            value = VALUES.get(cell.strip().lower())
        if value is None:
            raise DataError(
                f"{self.path}, line {line}: {self.names[column - 1]} is {cell.strip()!r}, but must "
                "be 1, 0, -1, true or false"
            )
        return value

    def _body(self) -> Iterator[Cells]:
        rows = self._rows()
        next(rows)
        return rows

    def _rows(self) -> Iterator[Cells]:
        """Header and rows, without empty ones."""
        read = _list_cells if self.is_list else _csv_cells
        rows = read(self._lines, self.path)
        return ((line, row) for line, row in rows if any(cell.strip() for cell in row))


def _without_comments(lines: list[str]) -> tuple[list[str], list[str]]:
    """The comments at the top, and all lines with empty ones in their place."""
    number = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:number], [*("" for _ in range(number)), *lines[number:]]


def _group_of(comment: re.Match[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in comment[1].split(",") if name.strip())


def looks_like_list(path: Path) -> bool:
    """Whether a text begins like CelebA's list: a number, names, and a file with its values."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            number, names, row = (stream.readline(1 << 16).split() for _ in range(3))
    except OSError:
        return False
    is_row = len(row) == len(names) + 1 > 1 and set(row[1:]) <= VALUES.keys()
    return is_row and len(number) == 1 and number[0].isdecimal()


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _list_cells(lines: Sequence[str], _: Path) -> Iterator[Cells]:
    numbered = ((number, line.split()) for number, line in enumerate(lines[1:], start=2))
    number, names = next(numbered, (2, []))
    yield number, ["file", *names]
    yield from numbered


def _csv_cells(lines: Iterable[str], path: Path) -> Iterator[Cells]:
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is not CSV: {error}") from error
