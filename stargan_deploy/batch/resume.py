"""Which photos a run translates and which earlier runs finished, decided before any work."""

import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from stargan_deploy.batch.manifest.lines import PhotoRecord, StartedRecord
from stargan_deploy.batch.manifest.reader import Manifests, place_below
from stargan_deploy.batch.manifest.writer import ManifestWriter
from stargan_deploy.batch.plan import Photo
from stargan_deploy.batch.settings import Settings, differences
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.errors import UsageError
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.presentation.text import one_line
from stargan_deploy.progress import OnProgress

HASH_THREADS = 4

HASHED_BY_ONE = 64
"""Photos per task of a thread."""

HASHED_AT_ONCE = HASH_THREADS * HASHED_BY_ONE

MAX_SHOWN_DIFFERENCES = 4

UNKNOWN_SETTINGS = "unknown, because the line that held them is damaged"

PHOTOS_PER_CLAIM = 64
"""Photos whose start is recorded with one wait for the disk."""


@dataclass(frozen=True, kw_only=True)
class ResumePolicy:
    """How to treat the work of earlier runs."""

    resume: bool = False
    """Whether to continue an interrupted run: to translate only what is missing."""
    changed: Literal["refuse", "redo"] = "refuse"
    """How to treat finished photos whose file, or the run's model, targets or options, have
    changed."""
    overwrite: bool = False
    """Whether to replace existing files, whoever wrote them. Alone, everything is translated again;
    with `resume`, finished photos stay finished."""

    def __post_init__(self) -> None:
        if self.changed == "redo" and not self.resume:
            raise UsageError("`changed` redo goes with `resume`")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Photos to translate and finished ones, both in the order of the plan."""

    to_do: tuple[Photo, ...]
    """Photos to translate, with `may_replace` where files exist that may be replaced."""
    done: tuple[PhotoRecord, ...] = ()
    """Records of the photos that are not translated again."""
    num_changed: int = 0
    """Photos of `to_do` that were finished, but are repeated because something changed."""


def decide(
    photos: Sequence[Photo],
    *,
    output: Path,
    earlier: Manifests,
    settings: Settings,
    policy: ResumePolicy,
    shard: Shard = WHOLE,
    on_progress: OnProgress | None = None,
) -> Decision:
    """Sort the photos of a plan into those to translate and finished ones; writes nothing.

    A photo is finished if its latest record says that it was translated, copied or skipped with
    these settings, its file has the same SHA-256, and its images are in place with their sizes.

    Args:
        photos: those of this shard.
        output: the output folder.
        earlier: its manifests.
        settings: those of this run.
        policy: how to treat the work of earlier runs.
        shard: of this run; other shards of the same count may have work there.
        on_progress: receives the progress of comparing photos, which takes longest.

    Raises:
        UsageError: there is work of an earlier run and the policy does not cover it; something
            changed since; or there are files that we may not replace.
    """
    if policy.resume:
        return _Sorting(output, earlier, settings, policy).decide(photos, on_progress)
    if not policy.overwrite:
        refuse_earlier_work(photos, earlier, shard)
    return Decision(to_do=tuple(replace(photo, may_replace=policy.overwrite) for photo in photos))


def refuse_earlier_work(photos: Sequence[Photo], earlier: Manifests, shard: Shard) -> None:
    """Refuse images that exist, and manifests with work on the same photos.

    Raises:
        UsageError: there are some.
    """
    hint = "continue with `resume`, repeat all with `overwrite`, or choose another `output`"
    there = [path for photo in photos for path in photo.outputs if os.path.lexists(path)]
    if there:
        num = sum(len(photo.outputs) for photo in photos)
        raise UsageError(
            f"{len(there)} of {num} images exist already, first {_shown(there[0])}", hint=hint
        )
    for file in earlier.files:
        if file.has_work and shard.overlaps(file.shard):
            num = len(earlier.photos.keys() | earlier.in_flight.keys())
            raise UsageError(f"{_shown(file.path)} is of an earlier run on {num} photos", hint=hint)


def claim_in_groups(
    photos: Sequence[Photo], writer: ManifestWriter, *, output: Path
) -> Iterator[Photo]:
    """Yield photos, each recorded in the manifest as started, in groups, before it comes out.

    Args:
        photos: those to translate.
        writer: of the manifest.
        output: the output folder.
    """
    for start in range(0, len(photos), PHOTOS_PER_CLAIM):
        group = photos[start : start + PHOTOS_PER_CLAIM]
        places = (tuple(place_below(path, output) for path in photo.outputs) for photo in group)
        pairs = zip(group, places, strict=True)
        writer.claim(StartedRecord(photo=_key(photo), outputs=own) for photo, own in pairs)
        yield from group


class _Sorting:
    """One decision."""

    def __init__(
        self, output: Path, earlier: Manifests, settings: Settings, policy: ResumePolicy
    ) -> None:
        self._output = output
        self._earlier = earlier
        self._settings = settings.to_mapping()
        self._rerun = policy
        self._differences: dict[str, tuple[str, ...]] = {}
        self._in_flight = {place for places in earlier.in_flight.values() for place in places}

    def decide(self, photos: Sequence[Photo], on_progress: OnProgress | None) -> Decision:
        """Sort the photos of a run that continues earlier ones."""
        standings = {photo.name: self._standing(photo) for photo in photos}
        finished = [photo for photo in photos if standings[photo.name] == "finished"]
        differing = [photo for photo in photos if standings[photo.name] == "other settings"]
        if not self._rerun.overwrite:
            self._refuse_foreign([p for p in photos if standings[p.name] != "finished"])
        self._refuse_settings(differing, len(differing) + len(finished))
        same, changed = self._compared(finished, on_progress)
        if changed and self._rerun.changed == "refuse":
            raise UsageError(
                f"{len(changed)} of {len(differing) + len(finished)} finished photos have changed "
                f"since, first {_shown(changed[0].path)}",
                hint="repeat them with `changed` redo",
            )
        done = {photo.name for photo in same}
        return Decision(
            # All files in the photos' places were found to be replaceable.
            to_do=tuple(
                replace(photo, may_replace=any(map(os.path.lexists, photo.outputs)))
                for photo in photos
                if photo.name not in done
            ),
            done=tuple(self._earlier.photos[_key(p)] for p in photos if p.name in done),
            num_changed=len(differing) + len(changed),
        )

    def _standing(self, photo: Photo) -> Literal["to do", "other settings", "finished"]:
        """How far a photo is, apart from the content of its file."""
        record = self._earlier.photos.get(_key(photo))
        if record is None or record.result == "failed" or _key(photo) in self._earlier.in_flight:
            return "to do"
        if self._differences_of(record.run):
            return "other settings"
        return "finished" if self._is_in_place(photo, record) else "to do"

    def _is_in_place(self, photo: Photo, record: PhotoRecord) -> bool:
        """Whether all recorded files are where the plan wants them, with their sizes."""
        planned = {place_below(path, self._output): path for path in photo.outputs}
        sizes = {output.path: output.size_bytes for output in record.outputs}
        wanted = () if record.result == "skipped" else planned.keys()
        return sizes.keys() == set(wanted) and all(
            _size_bytes(planned[place]) == size for place, size in sizes.items()
        )

    def _refuse_foreign(self, photos: Sequence[Photo]) -> None:
        paths = (path for photo in photos for path in photo.outputs)
        foreign = [path for path in paths if os.path.lexists(path) and not self._is_ours(path)]
        if foreign:
            raise UsageError(
                f"{len(foreign)} existing output files were modified or are not ours, first "
                f"{_shown(foreign[0])}",
                hint="move them away, replace them with `overwrite`, or choose another `output`",
            )

    def _is_ours(self, path: Path) -> bool:
        """Whether a manifest records a file as it is."""
        place = place_below(path, self._output)
        return place in self._in_flight or _size_bytes(path) in self._earlier.sizes.get(place, ())

    def _refuse_settings(self, differing: Sequence[Photo], num_finished: int) -> None:
        if not differing or self._rerun.changed == "redo":
            return
        runs = dict.fromkeys(self._earlier.photos[_key(photo)].run for photo in differing)
        found = list(dict.fromkeys(d for run in runs for d in self._differences_of(run)))
        more = len(found) - MAX_SHOWN_DIFFERENCES
        shown = found[:MAX_SHOWN_DIFFERENCES] + ([f"{more} more"] if more > 0 else [])
        raise UsageError(
            f"{len(differing)} of {num_finished} finished photos were made with other settings "
            f"({'; '.join(shown)})",
            hint="give the same ones, or repeat them with `changed` redo",
        )

    def _compared(
        self, photos: Sequence[Photo], on_progress: OnProgress | None
    ) -> tuple[list[Photo], list[Photo]]:
        """Photos whose file is unchanged, and those whose file is different.

        One that cannot be read is neither: it is tried again, and ends in the report.
        """
        same: list[Photo] = []
        changed: list[Photo] = []
        with ThreadPoolExecutor(HASH_THREADS) as pool:
            for start in range(0, len(photos), HASHED_AT_ONCE):
                group = photos[start : start + HASHED_AT_ONCE]
                parts = [group[i : i + HASHED_BY_ONE] for i in range(0, len(group), HASHED_BY_ONE)]
                hashes = chain.from_iterable(pool.map(_hashed, parts))
                for photo, sha256 in zip(group, hashes, strict=True):
                    is_same = sha256 == self._earlier.photos[_key(photo)].input_sha256
                    if sha256 is not None:
                        (same if is_same else changed).append(photo)
                if on_progress is not None:
                    on_progress(start + len(group), len(photos))
        return same, changed

    def _differences_of(self, run: str) -> tuple[str, ...]:
        """How the settings of a run differ from those of this one."""
        if run not in self._differences:
            known = self._earlier.runs.get(run)
            self._differences[run] = (
                differences(known.settings, self._settings) if known else (UNKNOWN_SETTINGS,)
            )
        return self._differences[run]


def _hashed(photos: Sequence[Photo]) -> list[str | None]:
    return list(map(_sha256, photos))


def _sha256(photo: Photo) -> str | None:
    try:
        return file_sha256(photo.path)
    except OSError:
        return None


def _size_bytes(path: Path) -> int | None:
    """Size of a regular file; None for anything else, or nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _shown(path: Path) -> str:
    return one_line(str(path))


def _key(photo: Photo) -> str:
    return photo.name.as_posix()
