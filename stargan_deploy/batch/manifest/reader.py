"""The manifests of a folder, merged: what became of every photo in all runs and shards so far.

`manifest_lines` tells what a manifest holds, and `manifest_writer` writes one.

Nothing that is read from a manifest is ever opened, written or deleted: its paths are only compared
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
"""What is read of one line; the rest counts as a line of its own, and as damaged."""

_SHARD_NAME = re.compile(r"manifest\.([0-9]{1,7})-of-([0-9]{1,7})\.jsonl")

Rank = tuple[int, str]
"""Of a run, see `RunRecord.rank`."""

BEFORE_ALL: Rank = (0, "")
"""Of a run whose first line was lost."""


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """What one file holds, in numbers."""

    path: Path
    shard: Shard
    """Whose photos are in it; all where its name tells none."""
    has_work: bool = False
    """Whether it tells of photos, or of things that cannot be read."""
    num_damaged: int = 0
    """Lines that are passed over, without the last one of a run that was killed."""


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """All manifests of a folder."""

    files: tuple[ManifestFile, ...] = ()
    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    """By ID."""
    photos: Mapping[str, PhotoRecord] = field(default_factory=dict)
    """The last word on each photo, by its path below the input."""
    in_flight: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Photos that were begun after their last word, with the files that may have appeared."""
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """All sizes in bytes in which a file was ever put in its place, by path below the output."""

    @property
    def next_order(self) -> int:
        """For the run that begins now."""
        return min(MAX_NUMBER, 1 + max((run.order for run in self.runs.values()), default=0))

    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return tuple(
            f"{file.path.name}: {file.num_damaged} damaged "
            f"{'line is' if file.num_damaged == 1 else 'lines are'} passed over"
            for file in self.files
            if file.num_damaged
        )


def manifest_name(shard: Shard) -> str:
    """The file that a run writes."""
    return "manifest.jsonl" if shard == WHOLE else f"manifest.{shard.index}-of-{shard.count}.jsonl"


def manifest_shard(name: str) -> Shard:
    """Whose photos a file holds, by its name."""
    found = _SHARD_NAME.fullmatch(name)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        return WHOLE
    return Shard(index=int(found[1]), count=int(found[2]))


def manifest_paths(folder: Path) -> tuple[Path, ...]:
    """All manifests of a folder, sorted by name; none of a folder that does not exist."""
    return tuple(sorted(path for path in folder.glob("manifest*.jsonl") if path.is_file()))


def place_below(path: Path, output: Path) -> str:
    """A picture's path as manifests have it."""
    return path.relative_to(output).as_posix()


def read_manifests(folder: Path) -> Manifests:
    """Reads and merges all manifests of a folder; one that grows meanwhile is read as far as it is.

    Raises:
        OutputError: a manifest that cannot be read.
    """
    merging = _Merging()
    return merging.result(tuple(merging.read(path) for path in manifest_paths(folder)))


class _Merging:
    """Files on their way into one."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self._photos: dict[str, PhotoRecord] = {}
        self._begun: dict[str, tuple[Rank, tuple[str, ...]]] = {}
        self._sizes: dict[str, tuple[int, ...]] = {}

    def result(self, files: tuple[ManifestFile, ...]) -> Manifests:
        """All that was taken in."""
        return Manifests(
            files=files,
            runs=self._runs,
            photos=self._photos,
            in_flight={photo: outputs for photo, (_, outputs) in self._begun.items()},
            sizes=self._sizes,
        )

    def read(self, path: Path) -> ManifestFile:
        """Takes one file in."""
        num_damaged = 0
        is_doubtful = is_torn = has_work = False
        for line in _lines(path):
            kind = self._take(line)
            if is_doubtful and kind != "run":  # before a run, it is what a killed one left
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
            self._take_begun(record)
        else:
            self._take_photo(record)
        return "photo"

    def _take_begun(self, begun: StartedRecord) -> None:
        rank = self._rank(begun.run)
        if begun.photo in self._photos and rank < self._rank(self._photos[begun.photo].run):
            return
        other_rank, others = self._begun.get(begun.photo, (BEFORE_ALL, ()))
        outputs = tuple(dict.fromkeys((*others, *begun.outputs)))
        self._begun[begun.photo] = (max(rank, other_rank), outputs)

    def _take_photo(self, record: PhotoRecord) -> None:
        rank, name = self._rank(record.run), record.photo
        if name not in self._photos or rank >= self._rank(self._photos[name].run):
            self._photos[name] = record
        if name in self._begun and rank >= self._begun[name][0]:
            del self._begun[name]
        for output in record.outputs:
            known = self._sizes.get(output.path, ())
            if output.size_bytes not in known:
                self._sizes[output.path] = (*known, output.size_bytes)

    def _rank(self, run: str) -> Rank:
        return self._runs[run].rank if run in self._runs else BEFORE_ALL


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                yield line
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror or error}") from error
