"""The manifests of a folder, merged: how every photo ended in all runs and shards so far.

No path that is read from a manifest is ever opened, written or deleted: paths are only compared
with those that a plan made. So a hostile manifest can make a batch redo or refuse, and no more.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stargan_deploy.batch.manifest.lines import (
    MAX_NUMBER,
    PhotoRecord,
    RunRecord,
    StartedRecord,
    parse_line,
)
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.errors import OutputError

MAX_LINE_BYTES = 1 << 24
"""Longest part of a line that is read; the rest counts as a damaged line of its own."""

_SHARD_NAME = re.compile(r"manifest\.([0-9]{1,7})-of-([0-9]{1,7})\.jsonl")

Rank = tuple[int, str]
"""Rank of a run, see `RunRecord.rank`."""

Stamp = tuple[int, int, int, int]
"""Device, inode, size in bytes and time in ns of a file, by which a change is noticed."""

BEFORE_ALL: Rank = (0, "")
"""Rank of a run whose first line was lost."""


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """A summary of one file."""

    path: Path
    shard: Shard
    """Shard of its photos; the whole where its name says none."""
    has_work: bool = False
    """Whether it records photos, or has lines that cannot be read."""
    num_damaged: int = 0
    """Lines that are skipped, without the last one of a run that was killed."""


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """All manifests of a folder."""

    files: tuple[ManifestFile, ...] = ()
    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    """Runs by ID."""
    photos: Mapping[str, PhotoRecord] = field(default_factory=dict)
    """The latest record of each photo, by its path below the input."""
    in_flight: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Photos started after their latest record, with the files that may have appeared."""
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """All sizes in bytes that a file was ever written with, by path below the output."""
    stamps: frozenset[Stamp] = frozenset()
    """Stamps of the files that hold anything, taken before they were read."""

    @property
    def next_order(self) -> int:
        """Order of a run that starts now."""
        return min(MAX_NUMBER, 1 + max((run.order for run in self.runs.values()), default=0))

    def notes(self) -> tuple[str, ...]:
        """Lines for the user about damage."""
        return tuple(
            f"{file.path.name}: {file.num_damaged} damaged "
            f"{'line is' if file.num_damaged == 1 else 'lines are'} skipped"
            for file in self.files
            if file.num_damaged
        )


def manifest_name(shard: Shard) -> str:
    """Return the name of the file that a run writes."""
    return "manifest.jsonl" if shard == WHOLE else f"manifest.{shard.index}-of-{shard.count}.jsonl"


def manifest_shard(name: str) -> Shard:
    """Return the shard whose photos a file holds, by its name."""
    found = _SHARD_NAME.fullmatch(name)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        return WHOLE
    return Shard(index=int(found[1]), count=int(found[2]))


def manifest_paths(folder: Path) -> tuple[Path, ...]:
    """Return all manifests of a folder by name; none for a folder that does not exist."""
    return tuple(sorted(path for path in folder.glob("manifest*.jsonl") if path.is_file()))


def place_below(path: Path, output: Path) -> str:
    """Return an image's path as manifests have it."""
    return path.relative_to(output).as_posix()


def read_manifests(folder: Path, known: Manifests | None = None) -> Manifests:
    """Read and merge all manifests of a folder; one that is growing is read as far as it goes.

    Args:
        folder: the output folder.
        known: returned as it is if no file has changed since it was read.

    Raises:
        OutputError: a manifest that cannot be read.
    """
    paths = manifest_paths(folder)
    stamps = frozenset(stamp for stamp in map(_stamp, paths) if stamp[2])
    if known is not None and known.stamps == stamps:
        return known
    merging = _Merging()
    return merging.result(tuple(merging.read(path) for path in paths), stamps)


class _Merging:
    """Files being merged into one."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self._photos: dict[str, PhotoRecord] = {}
        self._started: dict[str, tuple[Rank, tuple[str, ...]]] = {}
        self._sizes: dict[str, tuple[int, ...]] = {}

    def result(self, files: tuple[ManifestFile, ...], stamps: frozenset[Stamp]) -> Manifests:
        """Return everything that was read."""
        return Manifests(
            files=files,
            stamps=stamps,
            runs=self._runs,
            photos=self._photos,
            in_flight={photo: outputs for photo, (_, outputs) in self._started.items()},
            sizes=self._sizes,
        )

    def read(self, path: Path) -> ManifestFile:
        """Merge one file in."""
        num_damaged = 0
        is_doubtful = is_torn = has_work = False
        for line in _lines(path):
            kind = self._take(line)
            if is_doubtful and kind != "run":  # before a run, a killed one left it
                num_damaged += 1
            is_doubtful, is_torn = kind == "damaged", not line.endswith(b"\n")
            has_work |= kind in ("photo", "damaged")
        return ManifestFile(
            path=path,
            shard=manifest_shard(path.name),
            has_work=has_work,
            num_damaged=num_damaged + (is_doubtful and not is_torn),
        )

    def _take(self, line: bytes) -> Literal["run", "photo", "blank", "damaged"]:
        content = line.strip(b" \t\r\n\0")  # a power cut leaves zeros
        if not content:
            return "blank"
        try:
            record = parse_line(content)
        except ValueError:
            return "damaged"
        if isinstance(record, RunRecord):
            self._runs[record.run] = record
            return "run"
        if isinstance(record, StartedRecord):
            self._take_started(record)
        else:
            self._take_photo(record)
        return "photo"

    def _take_started(self, started: StartedRecord) -> None:
        rank = self._rank(started.run)
        if started.photo in self._photos and rank < self._rank(self._photos[started.photo].run):
            return
        other_rank, others = self._started.get(started.photo, (BEFORE_ALL, ()))
        outputs = tuple(dict.fromkeys((*others, *started.outputs)))
        self._started[started.photo] = (max(rank, other_rank), outputs)

    def _take_photo(self, record: PhotoRecord) -> None:
        rank, name = self._rank(record.run), record.photo
        if name not in self._photos or rank >= self._rank(self._photos[name].run):
            self._photos[name] = record
        if name in self._started and rank >= self._started[name][0]:
            del self._started[name]
        for output in record.outputs:
            known = self._sizes.get(output.path, ())
            if output.size_bytes not in known:
                self._sizes[output.path] = (*known, output.size_bytes)

    def _rank(self, run: str) -> Rank:
        return self._runs[run].rank if run in self._runs else BEFORE_ALL


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                yield line
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
