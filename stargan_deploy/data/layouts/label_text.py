"""The text of a label file and its dialect: encoding, comments, what stands between its cells.

CSVs have commas, semicolons, tabs or bars; a first line `sep=;`, which spreadsheets write, is read.
CelebA's list has blanks or commas. Texts are UTF-8, or UTF-16 with a byte order mark.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stargan_deploy.errors import DataError

DELIMITERS = ",;\t|"
"""Characters between the cells of a CSV, the usual one first."""

HEAD_BYTES = 1 << 16
"""Length of the beginning by which a file is recognised."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1a")

Cells = tuple[int, list[str]]
"""A line's number, from one, and its cells."""


def read_lines(path: Path) -> list[str]:
    """The lines of a text.

    Raises:
        DataError: it cannot be read, or is not in UTF-8 or UTF-16.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    try:
        return content.decode(_encoding(content)).splitlines()
    except ValueError as error:
        if not _is_text(content[:HEAD_BYTES]):
            raise DataError(f"cannot read {path}: it is not a text file") from error
        if _encoding(content) == "utf-16":
            raise DataError(f"cannot read {path}: its UTF-16 text is damaged") from error
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise DataError(
            f"cannot read {path}: line {line} is not UTF-8 text, but perhaps Latin-1",
            hint="save it as UTF-8",
        ) from error


def first_lines(path: Path, number: int) -> list[str]:
    """The first lines of a file, whatever it holds; none where it cannot be read."""
    content = _head(path)
    return content.decode(_encoding(content), errors="replace").splitlines()[:number]


def is_text(path: Path) -> bool:
    """Whether a file begins like a text, in whatever encoding."""
    return _is_text(_head(path))


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _is_text(head: bytes) -> bool:
    return _encoding(head) == "utf-16" or not _CONTROLS & set(head)


def _encoding(content: bytes) -> str:
    return next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")


@dataclass(frozen=True, kw_only=True)
class LabelText:
    """The lines of a label file, and how they are cut into cells."""

    lines: Sequence[str]
    """All lines; comments and a line `sep=` are empty."""
    comments: tuple[str, ...]
    """The lines before the header that begin with #."""
    delimiter: str | None
    """Character between cells; None for blanks."""
    num_rows_said: int | None
    """Number of rows that CelebA's list claims to have; None for a CSV."""

    def rows(self, where: Path) -> Iterator[Cells]:
        """Header and rows, without empty ones; the number of rows is not among them.

        Raises:
            DataError: a row is not CSV.
        """
        first = 0 if self.num_rows_said is None else _first_line(self.lines) + 1
        cells = self._blank_cells(first) if self.delimiter is None else self._cells(first, where)
        return ((line, row) for line, row in cells if any(cell.strip() for cell in row))

    def _blank_cells(self, first: int) -> Iterator[Cells]:
        return ((n, line.split()) for n, line in enumerate(self.lines[first:], start=first + 1))

    def _cells(self, first: int, where: Path) -> Iterator[Cells]:
        reader = csv.reader(
            self.lines[first:], delimiter=self.delimiter or ",", skipinitialspace=True, strict=True
        )
        try:
            for row in reader:
                yield first + reader.line_num, row
        except csv.Error as error:
            line = first + reader.line_num
            raise DataError(f"{where}, line {line} is not CSV: {error}") from error


def understand(lines: Sequence[str]) -> LabelText:
    """Finds the dialect of a label file by its first lines."""
    number = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comments, rest = tuple(lines[:number]), [*("" for _ in range(number)), *lines[number:]]
    separator = _SEPARATOR.fullmatch(rest[number]) if number < len(rest) else None
    if separator:
        rest[number] = ""
    start = _first_line(rest)
    count = rest[start].strip().rstrip(DELIMITERS) if start < len(rest) else ""
    is_list = count.isdecimal()
    sample = [line for line in rest[start + is_list :][:HEAD_BYTES] if line.strip()][:2]
    return LabelText(
        lines=rest,
        comments=comments,
        delimiter=separator[1] if separator else _delimiter(sample, is_list=is_list),
        num_rows_said=int(count[:18]) if is_list else None,
    )


def _first_line(lines: Sequence[str]) -> int:
    """Index of the first line that is not empty."""
    return next((n for n, line in enumerate(lines) if line.strip()), len(lines))


def _delimiter(sample: Sequence[str], *, is_list: bool) -> str | None:
    """The character that cuts a header into most cells; blanks where they alone cut it."""
    header = sample[0] if sample else ""
    counts = {character: _count(header, character) for character in DELIMITERS}
    best = max(counts, key=lambda character: counts[character])
    if counts[best]:
        return best
    widths = [len(line.split()) for line in sample]
    return None if is_list or (len(widths) > 1 and widths[0] == widths[1] > 1) else ","


def _count(header: str, character: str) -> int:
    """Number of a character outside of quotes."""
    return sum(part.count(character) for part in header.split('"')[::2])
