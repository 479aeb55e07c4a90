r"""The lines of a manifest, the record of how every photo of a batch ended.

`manifest.jsonl` in the output folder, or `manifest.I-of-N.jsonl` of shard I of N, holds one JSON
object per line and is only ever appended to. There are three kinds of lines:

    {"run": ID, "schema_version": 1, "order": 1, "started": UTC, "settings": {...}}
        A run begins. `order` is greater than that of every run recorded in the folder before.
    {"run": ID, "begun": PHOTO, "outputs": [PATH, ...]}
        From now on these files may appear, and they belong to the run.
    {"run": ID, "photo": PHOTO, "input_sha256": HEX, "input_bytes": N, "result": RESULT,
     "reason": TEXT, "outputs": [{"path": PATH, "sha256": HEX, "size_bytes": N}, ...]}
        A photo has ended, and these files are in place.

PHOTO is a path below the input folder, PATH one below the output folder, both with forward slashes.
The file is UTF-8. A name that is not, which Python holds as lone surrogates (PEP 383), has them as
JSON escapes (`\udce4`), so that it is read back unchanged.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar, cast, get_args

T = TypeVar("T")

SCHEMA_VERSION = 1

Result = Literal["translated", "copied", "skipped", "failed"]

MAX_NUMBER = 2**53
"""Largest count of bytes or runs; a greater one was not written by us."""

_RESULTS = {result: result for result in get_args(Result)}

_DIGEST = re.compile(r"[0-9a-f]{64}|")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRecord:
    """A file that was written."""

    path: str
    """Path below the output folder."""
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoRecord:
    """How a photo ended."""

    run: str = ""
    """The run's ID; whoever appends the record sets it."""
    photo: str
    """Its path below the input folder."""
    input_sha256: str = ""
    """Digest of the photo's file; empty where it could not be read."""
    input_bytes: int = 0
    result: Result
    reason: str = ""
    """Why it failed or was skipped."""
    outputs: tuple[OutputRecord, ...] = ()
    """All files in place because of it, also those of a photo that failed later."""

    def to_row(self) -> dict[str, Any]:
        """Return the line's content."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedRecord:
    """A photo that was started: its files may appear from now on."""

    run: str = ""
    """The run's ID; whoever appends the line sets it."""
    photo: str
    outputs: tuple[str, ...]

    def to_row(self) -> dict[str, Any]:
        """Return the line's content."""
        return {"run": self.run, "begun": self.photo, "outputs": self.outputs}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """The start of a run."""

    run: str
    order: int
    started: str
    """UTC, ISO 8601."""
    settings: Mapping[str, Any]
    """Settings as they were written, by any version."""

    @property
    def rank(self) -> tuple[int, str]:
        """Greater for later runs; clocks decide only between concurrent ones."""
        return self.order, self.started

    def to_row(self) -> dict[str, Any]:
        """Return the line's content."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def to_line(row: Mapping[str, Any]) -> bytes:
    """Return one line of a manifest."""
    # Python writes the backslash escape of a lone surrogate just as JSON does.
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def parse_line(line: bytes) -> RunRecord | StartedRecord | PhotoRecord:
    """Read one line, whatever is in it.

    Raises:
        ValueError: it is not a valid line, or is damaged.
    """
    try:
        row = json.loads(line)
        if "settings" in row:
            return _run(row)
        return _started(row) if "begun" in row else _photo(row)
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("not a line of a manifest") from error


def _run(row: Mapping[str, Any]) -> RunRecord:
    settings = _checked(dict, row["settings"])
    version = _number(row["schema_version"])
    if version != SCHEMA_VERSION:
        # A setting that no run of this version has, so that the settings count as different.
        settings = {**settings, "schema_version": version}
    return RunRecord(
        run=_checked(str, row["run"]),
        order=_number(row["order"]),
        started=_checked(str, row["started"]),
        settings=settings,
    )


def _started(row: Mapping[str, Any]) -> StartedRecord:
    outputs = tuple(_place(place) for place in _checked(list, row["outputs"]))
    return StartedRecord(run=_checked(str, row["run"]), photo=_place(row["begun"]), outputs=outputs)


def _photo(row: Mapping[str, Any]) -> PhotoRecord:
    return PhotoRecord(
        run=_checked(str, row["run"]),
        photo=_place(row["photo"]),
        input_sha256=_digest(row["input_sha256"]),
        input_bytes=_number(row["input_bytes"]),
        result=cast(Result, _RESULTS[row["result"]]),
        reason=_checked(str, row["reason"]),
        outputs=tuple(_output(output) for output in _checked(list, row["outputs"])),
    )


def _output(row: Mapping[str, Any]) -> OutputRecord:
    return OutputRecord(
        path=_place(row["path"]),
        sha256=_digest(row["sha256"]),
        size_bytes=_number(row["size_bytes"]),
    )


def _place(value: Any) -> str:
    """A path that stays below its folder."""
    place = _checked(str, value)
    if not place or place[0] == "/" or "\0" in place or ".." in place.split("/"):
        raise ValueError("a path that leads out of its folder")
    return place


def _checked(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _digest(value: Any) -> str:
    digest = _checked(str, value)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("not a SHA-256")
    return digest


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError("not a number of bytes or runs")
    return value
