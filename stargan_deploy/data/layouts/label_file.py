"""Label files: a CSV with a header, or CelebA's attribute list.

CSV: `file,Attr1,Attr2,...`, then a row for each image. Lines before the header that begin with #
are comments; `# exclusive: Attr1,Attr2` declares attributes of which an image has at most one.
CelebA's list: the number of rows, the attribute names, then a row for each image. Values are 1, yes
or true, and 0, -1, no or false. An index column before the files, as pandas writes, is left out.
`label_text` has the dialects.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from stargan_deploy.card.labels import Groups
from stargan_deploy.data.layouts.label_text import (
    Cells,
    LabelText,
    first_lines,
    read_lines,
    understand,
)
from stargan_deploy.data.source import Labels
from stargan_deploy.errors import DataError, LabelError, unknown_name
from stargan_deploy.files.formats import is_read

VALUES = {
    **dict.fromkeys(("1", "+1", "true", "yes", "y", "t", "on"), 1.0),
    **dict.fromkeys(("0", "-1", "false", "no", "n", "f", "off"), 0.0),
}
"""Values of a cell, in lower case; numbers may have decimals."""

FILE_COLUMNS = frozenset(
    (
        *("file", "filename", "file_name", "file name", "file_path", "filepath", "image"),
        *("image_id", "image_name", "image_path", "img", "img_name", "img_path", "name", "path"),
    )
)
"""Usual names, in lower case, of the column of files."""

MAX_CLASSES = 200
"""Greatest number of different words of a column that may be domains."""

MIN_REPEATED = 10
"""Rows from which on a column whose words are all different is no column of domains."""

_INDEX = re.compile(r"(unnamed: [\d.]+|index|idx|)", re.IGNORECASE)
"""Names of a column that counts the rows."""

_EXCLUSIVE = re.compile(r"#\s*exclusive\s*:(.*)", re.IGNORECASE)

HEAD_LINES = 40
"""Lines by which a label file is recognised."""


@dataclass(frozen=True, kw_only=True)
class LabelRows:
    """Some columns of a label file."""

    files: list[str]
    """The file of each row, with forward slashes."""
    labels: Labels
    """Zeros and ones (N, K) in the order of the columns asked for, or of the domains."""
    lines: list[int]
    """Number of each row's line in the file."""

    def refuse_contradictions(self, where: Path, files: Sequence[str] | None = None) -> None:
        """Refuse rows that label one file in two ways; equal rows do no harm.

        Args:
            where: the label file.
            files: the file that each row really means; None takes `files`.

        Raises:
            DataError: there are two.
        """
        first: dict[str, int] = {}
        rows = self.labels.tolist()
        for row, file in enumerate(files or self.files):
            earlier = first.setdefault(file, row)
            if rows[earlier] != rows[row]:
                raise DataError(
                    f"{where} labels {file} in two ways, in lines {self.lines[earlier]} and "
                    f"{self.lines[row]}",
                    hint="delete one of them",
                )


class LabelFile:
    """A file of labels of images; its rows are read when asked for.

    Args:
        path: a CSV file or a CelebA attribute list.
        text: its lines; None reads them.

    Raises:
        DataError: it cannot be read, or holds no row below its line of names.
    """

    def __init__(self, path: Path, text: LabelText | None = None) -> None:
        self.path = Path(path)
        self._text = understand(read_lines(self.path)) if text is None else text
        self.num_rows_said = self._text.num_rows_said
        """Number of rows that CelebA's list claims to have; None for a CSV."""
        self.is_list = self.num_rows_said is not None
        """Whether this is CelebA's list rather than a CSV."""
        groups = filter(None, map(_EXCLUSIVE.match, self._text.comments))
        self.exclusive: Groups = tuple(map(_group_of, groups))
        """Groups of attributes that the file says exclude one another."""
        rows = self._text.rows(self.path)
        header, first = next(rows, None), next(rows, None)
        if header is None or first is None:
            raise DataError(f"{path} holds no labels: it needs a line of names and rows below it")
        self.first_row = first[1]
        """The cells of the first row."""
        self._header = [name.strip() for name in header[1]]
        if self.is_list and not (
            len(self._header) == len(self.first_row) and self._header[0].lower() in FILE_COLUMNS
        ):
            self._header = ["file", *self._header]
        self._file_column = self._find_files()
        self._columns = [c for c in range(len(self._header)) if not self._is_apart(c)]
        self.names = tuple(self._header[column] for column in self._columns)
        """The attributes, in the order of the file."""
        self._refuse_missing_names()

    @classmethod
    def peek(cls, path: Path) -> Self | None:
        """The file by its first lines alone, or None where it is not a label file."""
        try:
            return cls(path, understand(first_lines(path, HEAD_LINES)))
        except DataError:
            return None

    @property
    def first_file(self) -> str:
        """The file of the first row."""
        row = self.first_row
        return _as_file(row[self._file_column]) if self._file_column < len(row) else ""

    @property
    def names_its_files(self) -> bool:
        """Whether the column of files has one of the usual names."""
        return self._header[self._file_column].lower() in FILE_COLUMNS

    def is_well_formed(self) -> bool:
        """Whether the first row has the header's width, and values only."""
        cells = [self.first_row[c] for c in self._columns if c < len(self.first_row)]
        width = len(self.first_row) == len(self._header) > 1
        return width and all(_value_of(cell) is not None for cell in cells)

    def read(self, names: Sequence[str]) -> LabelRows:
        """Reads some attributes of all images; other columns may hold anything.

        Raises:
            LabelError: a name that the file does not have.
            DataError: a name of two columns, a row of another length, or a value that is not valid.
        """
        columns = [self._column(name) for name in names]
        files, labels, lines = [], [], []
        for line, row in self._body():
            files.append(_as_file(row[self._file_column]))
            labels.append([self._value(row[column], column, line) for column in columns])
            lines.append(line)
        table = np.array(labels, np.float32).reshape(len(files), len(names))
        found = LabelRows(files=files, labels=table, lines=lines)
        found.refuse_contradictions(self.path)
        return found

    def read_domains(self, name: str, domains: Sequence[str]) -> LabelRows:
        """Reads a column of words as domains; rows with other words are left out.

        Raises:
            DataError: as `read`.
        """
        column, number = self._column(name), {domain: n for n, domain in enumerate(domains)}
        kept = [
            (_as_file(row[self._file_column]), number[word], line)
            for line, row in self._body()
            if (word := row[column].strip()) in number
        ]
        rows = np.eye(len(domains), dtype=np.float32)[[index for _, index, _ in kept]]
        found = LabelRows(
            files=[file for file, _, _ in kept], labels=rows, lines=[line for *_, line in kept]
        )
        found.refuse_contradictions(self.path)
        return found

    def words_of(self, name: str) -> tuple[str, ...] | None:
        """The different words of a column, sorted; None where it holds values of an attribute.

        Numbers are words where they count classes: three or more, without a gap.

        Raises:
            DataError: a cell without a word, or too many words to be domains.
        """
        column = self._column(name)
        words = Counter(row[column].strip() for _, row in self._body())
        numbers = {int(word) for word in words if word.isdecimal() and word.isascii()}
        are_classes = len(numbers) == len(words) == max(numbers) - min(numbers) + 1 > 2
        if not are_classes and any(_value_of(word) is not None for word in words):
            return None  # a word among values is a fault, which `read` names
        self._refuse_unlike_domains(name, words)
        return tuple(sorted(words, key=int if are_classes else str))

    def column_of_words(self) -> str | None:
        """The only column whose first cell is not a value of an attribute, or None."""
        pairs = zip(self.names, self._columns, strict=True)
        row = self.first_row
        found = [n for n, c in pairs if c < len(row) and _value_of(row[c]) is None]
        if not found and len(self.names) == 1 and self.words_of(self.names[0]):
            return self.names[0]  # classes by number, of which the first row has 0 or 1
        return found[0] if len(found) == 1 else None

    def _find_files(self) -> int:
        """The column of files: the first, or the first with the name of an image in its place."""
        row = self.first_row
        cells = [_is_image(row[c]) if c < len(row) else False for c in range(len(self._header))]
        if self._header[0].lower() in FILE_COLUMNS or cells[0] or not any(cells):
            return 0
        named = [c for c, is_image in enumerate(cells) if is_image and self._is_named_file(c)]
        return named[0] if named else cells.index(True)

    def _is_named_file(self, column: int) -> bool:
        return self._header[column].lower() in FILE_COLUMNS

    def _is_apart(self, column: int) -> bool:
        """Whether a column holds no labels: the files, or what counts the rows before them."""
        is_index = column < self._file_column and bool(_INDEX.fullmatch(self._header[column]))
        return column == self._file_column or is_index

    def _refuse_missing_names(self) -> None:
        """Refuse a file that begins with a row instead of names, which would be lost.

        Raises:
            DataError: it does.
        """
        cells = [self._header[column] for column in self._columns]
        if (
            _is_image(self._header[self._file_column])
            and all(_value_of(cell) is not None for cell in cells)
            and cells
        ):
            raise DataError(
                f"{self.path} begins with a row of values, not with the names of its columns",
                hint="add a first line like file,Attribute1,Attribute2",
            )

    def _refuse_unlike_domains(self, name: str, words: Counter[str]) -> None:
        what = ""
        if "" in words:
            what = "has rows without a word"
        elif len(words) > MAX_CLASSES:
            what = f"has {len(words)} different words"
        elif MIN_REPEATED <= len(words) == words.total():
            what = "has another word in every row"
        if what:
            raise DataError(
                f"column {name!r} of {self.path} {what}, so that they are no domains",
                hint="choose the columns to learn with `attributes`",
            )

    def _column(self, name: str) -> int:
        if name not in self.names:
            raise LabelError(unknown_name("attribute", name, self.names, where=self.path.name))
        if self.names.count(name) > 1:
            raise DataError(f"{self.path} has two columns {name!r}; rename one")
        return self._columns[self.names.index(name)]

    def _value(self, cell: str, column: int, line: int) -> float:
        value = VALUES.get(cell)
        if value is None:
            value = _value_of(cell)
        if value is None:
            raise DataError(
                f"{self.path}, line {line}: {self._header[column]} is {cell.strip()!r}, but must "
                "be 1, 0, -1, yes, no, true or false",
                hint="choose the columns to learn with `attributes`",
            )
        return value

    def _body(self) -> Iterator[Cells]:
        """The rows below the header.

        Raises:
            DataError: a row of another width.
        """
        rows = self._text.rows(self.path)
        next(rows)
        for line, row in rows:
            if len(row) != len(self._header):
                raise DataError(
                    f"{self.path}, line {line} has {len(row)} columns, but the header has "
                    f"{len(self._header)}"
                )
            yield line, row


def _group_of(comment: re.Match[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in comment[1].split(",") if name.strip())


def _as_file(cell: str) -> str:
    return cell.strip().replace("\\", "/").removeprefix("./")


def _is_image(cell: str) -> bool:
    return is_read(PurePosixPath(cell.strip()).suffix.lower())


@lru_cache(maxsize=4096)
def _value_of(cell: str) -> float | None:
    """The value of a cell, or None where it has none; numbers may have a decimal comma."""
    word = cell.strip().lower()
    if word in VALUES:
        return VALUES[word]
    try:
        return VALUES.get(f"{float(word.replace(',', '.')):g}")
    except ValueError:
        return None
