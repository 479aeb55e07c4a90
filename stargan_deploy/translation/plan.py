"""Where every picture of a batch will go, settled before the first photo is decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from stargan_deploy.errors import UsageError
from stargan_deploy.images import output_suffix
from stargan_deploy.translation.listing import list_photos, printable, same_name_key
from stargan_deploy.translation.report import REPORT_NAME, Failure
from stargan_deploy.translation.sources import LabelTable
from stargan_deploy.translation.targets import NamedTarget


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """What to translate, to what, and where to."""

    input: Path
    """A folder, or one file."""
    output: Path
    """The folder for the pictures and the report."""
    targets: tuple[NamedTarget, ...]
    """With several, each has its folder in `output`."""
    source: Literal["predict", "zeros"] | LabelTable = "predict"
    """Where the photos' own labels come from."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photo and where its pictures go."""

    name: PurePosixPath
    """Path below the input folder."""
    path: Path
    outputs: tuple[Path, ...]
    """One for each target."""


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """A job with its photos listed and their pictures named."""

    job: BatchJob
    photos: tuple[Photo, ...]
    renamed: dict[str, str]
    """Places of pictures that could not keep their photo's name, by photo."""
    failures: tuple[Failure, ...]
    """What failed already: folders that could not be listed."""


def plan_batch(job: BatchJob) -> BatchPlan:
    """Lists the photos and names their pictures; writes nothing.

    Raises:
        DataError: no such input, or no photo in it.
        UsageError: pictures would be written over photos.
    """
    if job.output.exists() and job.input.exists() and job.output.samefile(job.input):
        raise UsageError(f"--output {job.output} is the input itself; choose another folder")
    listing = list_photos(job.input, skip=job.output)
    places = place_pictures(listing.photos)
    folders = [Path(n.folder) for n in job.targets] if len(job.targets) > 1 else [Path()]
    photos = tuple(
        Photo(
            name=name,
            path=listing.root / name,
            outputs=tuple(job.output / folder / place for folder in folders),
        )
        for name, place in places.items()
    )
    _refuse_overwriting(photos)
    renamed = {
        printable(name): printable(place)
        for name, place in places.items()
        if place != plain_place(name)
    }
    return BatchPlan(job=job, photos=photos, renamed=renamed, failures=listing.failures)


def plain_place(photo: PurePosixPath) -> PurePosixPath:
    """A picture's place if no other photo wants it: the photo's own, with a written ending."""
    return photo.with_suffix(output_suffix(Path(photo)))


def place_pictures(photos: Iterable[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """A place for each photo's picture, unlike all others' on every file system.

    Photos that keep their ending get their place first. Where `a.bmp` finds `a.png` taken, its
    picture becomes `a.bmp.png`, and where that is taken too, `a.bmp-2.png`.
    """
    listed = list(photos)
    parents = {same_name_key(parent) for photo in listed for parent in photo.parents}
    taken = parents | {REPORT_NAME}
    places: dict[PurePosixPath, PurePosixPath] = {}
    for photo in sorted(listed, key=lambda p: (plain_place(p) != p, p)):
        place = next(c for c in _candidates(photo) if same_name_key(c) not in taken)
        taken.add(same_name_key(place))
        places[photo] = place
    return {photo: places[photo] for photo in listed}


def _candidates(photo: PurePosixPath) -> Iterable[PurePosixPath]:
    """The plain place, then longer and longer names."""
    plain = plain_place(photo)
    yield plain
    stem = photo.stem if plain == photo else photo.name
    if stem != photo.stem:
        yield photo.with_name(f"{stem}{plain.suffix}")
    number = 2
    while True:
        yield photo.with_name(f"{stem}-{number}{plain.suffix}")
        number += 1


def _refuse_overwriting(photos: tuple[Photo, ...]) -> None:
    """Compares the files that exist where pictures go with the photos, links and their goals."""
    inputs = {_identity(p.path, follow=follow) for p in photos for follow in (False, True)}
    for photo in photos:
        for output in photo.outputs:
            identity = _identity(output, follow=False)
            if identity is not None and identity in inputs:
                raise UsageError(
                    f"{output} is a photo of the input, and the picture of {photo.path} would be "
                    "written over it; choose another --output"
                )


def _identity(path: Path, *, follow: bool) -> tuple[int, int] | None:
    try:
        status = path.stat(follow_symlinks=follow)
    except OSError:
        return None
    return status.st_dev, status.st_ino
