"""Finding the photos of a batch: a file, or everything that looks like one below a folder."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from stargan_deploy.batch.report import Failure
from stargan_deploy.errors import DataError
from stargan_deploy.files.formats import IMAGE_SUFFIXES
from stargan_deploy.files.walk import find_images
from stargan_deploy.presentation.text import printable


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The photos of a batch."""

    root: Path
    photos: tuple[PurePosixPath, ...]
    """Photos by path below `root`, sorted."""
    failures: tuple[Failure, ...] = ()
    """Folders that could not be listed."""
    note: str = ""
    """A line about files and system folders that were left out, or nothing."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of photos and videos that are not read, by their ending."""


def list_photos(source: Path, *, skip: Path, parts: Sequence[Path] = ()) -> Listing:
    """List a folder's photos with those of its subfolders (see `files.walk`), or a single file.

    Args:
        source: a folder, or a file of any name.
        skip: a folder that is left out, because the results go there.
        parts: folders and files in a folder, of which alone the photos are taken.

    Raises:
        DataError: there is no such file or folder, or no photo in it.
    """
    if parts:
        return _joined(source, [(part, list_photos(part, skip=skip)) for part in parts])
    if source.is_file():
        return Listing(root=source.parent, photos=(PurePosixPath(source.name),))
    if not source.is_dir():
        raise DataError(f"no such file or folder: {source}")
    found = find_images(source, skip=skip)
    if not found.images:
        reason = f"; {found.unreadable[0].reason}" if found.unreadable else ""
        reason += f" ({found.note})" if found.note else ""
        raise DataError(
            f"no images in {source}{reason}; looked for files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    failures = (Failure(path=printable(u.path), reason=u.reason) for u in found.unreadable)
    return Listing(
        root=source,
        photos=found.images,
        failures=tuple(failures),
        note=found.note,
        left_out=found.num_unread,
    )


def _joined(root: Path, listings: Sequence[tuple[Path, Listing]]) -> Listing:
    """The photos of several folders and files, by their paths below one folder."""
    photos: set[PurePosixPath] = set()
    failures: list[Failure] = []
    left_out: Counter[str] = Counter()
    for _, listing in listings:
        below = PurePosixPath(listing.root.relative_to(root))
        photos |= {below / photo for photo in listing.photos}
        failures += (replace(f, path=printable(below / f.path)) for f in listing.failures)
        left_out.update(listing.left_out)
    notes = dict.fromkeys(
        f"{part.name}: {listing.note}" for part, listing in listings if listing.note
    )
    return Listing(
        root=root,
        photos=tuple(sorted(photos)),
        failures=tuple(failures),
        note="; ".join(notes),
        left_out=dict(left_out),
    )


def same_name_key(path: PurePosixPath) -> str:
    """Return a key, equal for paths that some file system takes for one: by case or accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path.as_posix()).casefold())
