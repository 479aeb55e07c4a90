"""Source labels of photos from a file: a CSV with a header, or CelebA's attribute list.

See `data.layouts.label_file` for the formats; columns that the model does not know are skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.layouts.label_text import is_text
from stargan_deploy.data.layouts.listed_files import stem_of
from stargan_deploy.errors import DataError
from stargan_deploy.files.walk import found_at
from stargan_deploy.inference.targets import depends_on_source


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Source labels by file."""

    path: Path
    rows: dict[str, FloatArray]
    """Labels (K,) of zeros and ones by relative path, with forward slashes, or by bare name."""

    def find(self, photo: PurePosixPath) -> FloatArray | None:
        """The labels of a photo: the row of its relative path, else of its name, else None.

        Endings of images and cases of letters may differ, where only one row is meant.
        """
        for name in (photo.as_posix(), photo.name):
            if (found := self.rows.get(name)) is not None:
                return found
            if len(twins := self._by_stem.get(stem_of(name), [])) == 1:
                return self.rows[twins[0]]
        return None

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Names of rows by what is the same in any ending and case."""
        stems: dict[str, list[str]] = {}
        for name in self.rows:
            stems.setdefault(stem_of(name), []).append(name)
        return stems


def read_label_table(path: Path, space: LabelSpace, *, needed: Sequence[str]) -> LabelTable:
    """Reads source labels.

    Args:
        path: a CSV file or a CelebA attribute list.
        space: the model's labels, in whose order the rows are given.
        needed: names that the file must have; others that it lacks count as absent.

    Raises:
        DataError: no such file, a column that is missing, or a row that cannot be read.
    """
    if found_at(Path(path)) == "nothing":
        raise DataError(
            f"no such label file: {path}", hint="`source` takes predict, zeros, or a file"
        )
    file = _opened(path)
    missing = [name for name in needed if name not in file.names]
    if missing:
        raise DataError(
            f"{path} has no column {missing[0]!r}; it must have {', '.join(needed)} for these "
            "targets",
            hint="the first line of a CSV file is: file,Attribute1,Attribute2,...",
        )
    known = [name for name in space.names if name in file.names]
    rows = file.read(known)
    labels_NK = np.zeros((len(rows.files), space.num_labels), np.float32)
    labels_NK[:, [space.names.index(name) for name in known]] = rows.labels
    table: dict[str, FloatArray] = {}
    for name, labels, line in zip(rows.files, labels_NK, rows.lines, strict=True):
        if not np.array_equal(table.setdefault(name, labels), labels):
            raise DataError(f"{path}, line {line} contradicts an earlier row of {name!r}")
    return LabelTable(path=path, rows=table)


def _opened(path: Path) -> LabelFile:
    if found_at(path) == "file" and not is_text(path):
        raise DataError(
            f"cannot read {path}: it is not a text file",
            hint="`source` takes predict, zeros, a CSV file (file,Attribute1,Attribute2,...) "
            "or a CelebA attribute list",
        )
    return LabelFile(path)


def needed_names(space: LabelSpace, targets: Sequence[Target]) -> tuple[str, ...]:
    """The labels of a photo that the targets depend on: those of whole label sets."""
    sets = {target.set_index for target in targets if depends_on_source(space, target)}
    return tuple(name for index in sorted(sets) for name in space.sets[index].names)
