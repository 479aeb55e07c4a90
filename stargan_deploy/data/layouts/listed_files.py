"""The image files that a label file means, also where their endings or letters' cases differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.errors import DataError
from stargan_deploy.files.formats import is_read
from stargan_deploy.files.walk import found_at, image_files, subfolders

IMAGE_FOLDERS = ("images", "img_align_celeba", "img_celeba")
"""Usual names of the folder of images beside a label file."""

NUM_PROBED = 20
"""Number of files that are looked for to find their folder."""


@dataclass(kw_only=True)
class FileNames:
    """The files below a folder by the names that a list gives them.

    A name that is not there stands for the only image of the same stem, in any case.
    """

    folder: Path
    changed: dict[str, str] = field(default_factory=dict)
    """Files whose names differ from those asked for, by these."""
    _known: dict[str, set[str]] = field(default_factory=dict)
    _by_stem: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def find(self, name: str) -> str:
        """The path below the folder of the file that a name means; the name where there is none."""
        parent, _, base = name.rpartition("/")
        if parent not in self._known:
            self._list(parent)
        if base in self._known[parent]:
            return name
        twins = self._by_stem[parent].get(stem_of(base), [])
        if len(twins) != 1:
            return name
        self.changed[name] = f"{parent}/{twins[0]}" if parent else twins[0]
        return self.changed[name]

    def holds(self, name: str) -> bool:
        """Whether there is a file that a name means."""
        return found_at(self.folder / self.find(name)) == "file"

    def _list(self, parent: str) -> None:
        try:
            names = [path.name for path in (self.folder / parent).iterdir()]
        except (OSError, ValueError):
            names = []
        self._known[parent] = set(names)
        stems = self._by_stem[parent] = {}
        for name in names:
            if is_read(PurePosixPath(name).suffix.lower()):
                stems.setdefault(stem_of(name), []).append(name)


def stem_of(name: str) -> str:
    """A path in lower case, without the ending of an image."""
    path = PurePosixPath(name)
    return str(path.with_suffix("") if is_read(path.suffix.lower()) else path).casefold()


def image_folder(file: LabelFile, names: Sequence[str]) -> FileNames:
    """The folder with the most of a label file's first images.

    A list's images lie in a folder beside it, a CSV names them from its own folder or from one
    beside it; where none of a list's is there, any folder with images is taken, so that each
    missing image is named.

    Raises:
        DataError: no such folder.
    """
    base = file.path.parent
    probed = names[:NUM_PROBED]
    candidates = [FileNames(folder=folder) for folder in _candidates(base, is_list=file.is_list)]
    found = [sum(map(files.holds, probed)) for files in candidates]
    if max(found):
        return candidates[found.index(max(found))]
    if not file.is_list:
        raise DataError(
            f"{file.path}: none of its first {len(probed)} files ({probed[0]!r}, ...) is in "
            f"{base} or {base / 'images'}"
        )
    for files in candidates:
        if found_at(files.folder) == "folder" and image_files(files.folder):
            return files
    raise DataError(f"{base} has an attribute list, but no folder of images beside it")


def names_existing(file: LabelFile) -> bool:
    """Whether the file of a label file's first row is there."""
    folders, name = _candidates(file.path.parent, is_list=False), file.first_file
    if not is_read(PurePosixPath(name).suffix.lower()):  # a number may be the stem of anything
        return any(found_at(folder / name) == "file" for folder in folders)
    return any(FileNames(folder=folder).holds(name) for folder in folders)


def _candidates(base: Path, *, is_list: bool) -> list[Path]:
    """Folders in which the images of a label file in `base` may be, the likeliest first."""
    nested = [f"{name}/{name}" for name in IMAGE_FOLDERS]  # as archives are unpacked on Kaggle
    beside = [*IMAGE_FOLDERS, *nested, *(folder.name for folder in subfolders(base))]
    return [base / name for name in ([*beside, "."] if is_list else [".", *beside])]
