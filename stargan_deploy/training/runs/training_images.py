"""The images that a run is trained on, by the content of their files.

A run keeps the first 64 bits of each file's SHA-256 in `training-images.npy`, sorted, 8 bytes per
image. By them an evaluation recognises photos that are not held out: with a million images and ten
thousand photos, chance makes two of them look the same once in two billion evaluations.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stargan_deploy.data.source import ImageSource
from stargan_deploy.files.atomic import write_bytes

FILE_NAME = "training-images.npy"

Digests = npt.NDArray[np.uint64]


def write_digests(folder: Path, source: ImageSource) -> None:
    """Record the images of a source that are files of their own, unless a run has done so.

    Raises:
        OutputError: the folder cannot be written.
    """
    if (folder / FILE_NAME).exists():
        return
    digests = sorted(filter(None, map(_file_digest, _files(source))))
    if digests:
        content = io.BytesIO()
        np.save(content, _first_bits(digests))
        write_bytes(folder / FILE_NAME, content.getvalue())


def read_digests(folder: Path) -> Digests | None:
    """The digests of a run's images; None where there are none."""
    try:
        found = np.load(folder / FILE_NAME, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found if found.dtype == np.uint64 and found.ndim == 1 else None


def known_images(digests: Sequence[str], known: Digests) -> npt.NDArray[np.bool_]:
    """Which files, by their SHA-256, are among a run's images."""
    return np.isin(_first_bits(digests), known)


def _files(source: ImageSource) -> Iterable[Path]:
    for domain in source.domains.values():
        yield from (Path(domain.location(index)) for index in range(len(domain)))


def _file_digest(path: Path) -> str:
    """SHA-256 of a file; empty where it cannot be read, or is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _first_bits(digests: Iterable[str]) -> Digests:
    return np.array([int(digest[:16], 16) for digest in digests], np.uint64)
