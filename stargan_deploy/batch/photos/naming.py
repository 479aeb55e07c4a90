"""Names of images: their photos' own, or a template's: `{folder}/{stem}-{target}{suffix}`."""

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stargan_deploy.batch.photos.listing import same_name_key
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.files.images import KEPT_FORMATS, output_suffix
from stargan_deploy.presentation.text import printable

FIELDS = ("folder", "stem", "suffix", "name", "target")
"""folder: the photo's, below the input. stem, suffix: parts of its name; the suffix with its dot,
and as the image is written. name: the whole name. target: `Blond_Hair`, `not-Male`."""

_OWN_FILES = re.compile(r"(report|manifest)\b.*\.jsonl?|contact-sheet-\d+\.jpg|gallery\.html")
"""Names of the files that a batch leaves next to the images."""


@dataclass(frozen=True, kw_only=True)
class NameTemplate:
    """A checked template."""

    text: str

    def __post_init__(self) -> None:
        names = [field for _, field, _, _ in _parsed(self.text) if field is not None]
        for name in names:
            if name not in FIELDS:
                raise UsageError(f"`naming`: {unknown_name('field', name, FIELDS, where='{}')}")
        if any(spec or conversion for _, _, spec, conversion in _parsed(self.text)):
            raise UsageError(
                f"`naming` {self.text!r} formats a field", hint="write fields plainly, as {stem}"
            )
        if not {"stem", "name"} & set(names):
            raise UsageError(f"`naming` {self.text!r} needs {{stem}} to tell photos apart")
        if self.text.startswith("/") or ".." in PurePosixPath(self.text).parts:
            raise UsageError(f"`naming` {self.text!r} leads out of the output folder")

    def place(self, photo: PurePosixPath, *, suffix: str, target: str) -> PurePosixPath:
        """Return the image's path below the output folder.

        Args:
            photo: the photo's, below the input folder.
            suffix: ending that the image gets unless the template has another.
            target: name of the target.
        """
        text = self.text if self._has_ending() else self.text + "{suffix}"
        values = {
            "folder": photo.parent.as_posix(),
            "stem": photo.stem,
            "suffix": suffix,
            "name": photo.name,
            "target": target,
        }
        return PurePosixPath(text.format_map(values))

    def _has_ending(self) -> bool:
        ending = re.search(r"(\{suffix\}|\.\w+)$", self.text)
        return ending is not None and (ending[0] == "{suffix}" or ending[0].lower() in KEPT_FORMATS)


def template_places(
    template: NameTemplate, photos: Sequence[PurePosixPath], targets: Sequence[str]
) -> dict[PurePosixPath, tuple[PurePosixPath, ...]]:
    """Return the places of all photos' images, one per target, below the output folder.

    Raises:
        UsageError: two images would have one name, or that of a report or manifest.
    """
    owners: dict[str, PurePosixPath] = {}
    places: dict[PurePosixPath, tuple[PurePosixPath, ...]] = {}
    for photo in photos:
        suffix = output_suffix(Path(photo))
        own = tuple(template.place(photo, suffix=suffix, target=target) for target in targets)
        for place in own:
            _claim(owners, place, photo)
        places[photo] = own
    folders = {same_name_key(p): p for own in places.values() for p in own[0].parents}
    for key, folder in folders.items():
        if key in owners:
            raise UsageError(f"`naming` makes {printable(folder)} an image and a folder at once")
    return places


def _claim(owners: dict[str, PurePosixPath], place: PurePosixPath, photo: PurePosixPath) -> None:
    """Note whose image goes to a place; refuses one that is taken."""
    if is_reserved(place):
        raise UsageError(f"`naming` calls an image {place}, which is a file of the batch itself")
    key = same_name_key(place)
    if key not in owners:
        owners[key] = photo
        return
    if owners[key] == photo:
        raise UsageError(
            "`naming` gives the images of all targets one name", hint="add {target} to it"
        )
    raise UsageError(
        f"`naming` gives the images of {printable(owners[key])} and {printable(photo)} one name, "
        f"{printable(place)}",
        hint="add {folder} or {name} to it",
    )


def is_reserved(place: PurePosixPath) -> bool:
    """Whether a path below the output folder is a file of the batch itself."""
    return len(place.parts) == 1 and _OWN_FILES.fullmatch(place.name.casefold()) is not None


def plain_place(photo: PurePosixPath) -> PurePosixPath:
    """Return an image's place if no other photo wants it: its own, with a written ending."""
    return photo.with_suffix(output_suffix(Path(photo)))


def place_images(photos: Iterable[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Return a place for each photo's image, different from all others on every file system.

    Photos that keep their ending get their place first. Where `a.bmp` finds `a.png` taken, its
    image becomes `a.bmp.png`, and where that is taken too, `a.bmp-2.png`.
    """
    listed = list(photos)
    parents = {same_name_key(parent) for photo in listed for parent in photo.parents}
    taken = parents
    places: dict[PurePosixPath, PurePosixPath] = {}
    for photo in sorted(listed, key=lambda p: (plain_place(p) != p, p)):
        free = (c for c in _candidates(photo) if same_name_key(c) not in taken)
        place = next(candidate for candidate in free if not is_reserved(candidate))
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


def _parsed(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(text))
    except ValueError as error:
        raise UsageError(
            f"`naming` {text!r}: {error}", hint=f"fields: {', '.join(FIELDS)}"
        ) from error
