"""Faces to try a model on: any number of synthetic ones, or the photos of a folder."""

import dataclasses
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stargan_deploy.card.card import Preprocessing
from stargan_deploy.data.layouts.synthetic import draw_attributes
from stargan_deploy.data.synthetic.portrait import draw_face
from stargan_deploy.errors import DataError
from stargan_deploy.files.atomic import file_sha256
from stargan_deploy.files.images import Pixels, load_image, prepare_photo
from stargan_deploy.files.walk import image_files

NUM_CALIBRATION = 128
"""Faces that the ranges of activations are measured on.

What lies beyond these ranges is cut off. On 400 other photos, the worst logit of a trained
classifier was off by 2.5 of 14 after 64 photos, and by 1.3 after 128 and after 256.
"""

NUM_HELD_OUT = 16
"""Faces to choose layers by."""

MIN_CALIBRATION = 8
"""Fewest photos that INT8 is calibrated on."""

SPARED_SHARE = 8
"""One photo in so many is kept for the proof where there are no others."""

Faces = Callable[[int, int, int], Pixels]
"""Face number n at a height and width in pixels: (H, W, 3) in [0, 255]."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationFaces:
    """Faces to quantise with."""

    ranges: Faces
    """Faces that the ranges of activations are measured on."""
    held_out: Faces
    """Faces that layers are chosen by."""
    facts: dict[str, Any]
    """Kind and number of the faces, for the card."""
    used: tuple[Path, ...] = ()
    """Photos among these faces."""
    spare: tuple[Path, ...] = ()
    """Photos of the same folder that are not among them."""


def synthetic_face(number: int, height: int, width: int) -> Pixels:
    """A drawn face, different for every number."""
    face = draw_face(draw_attributes(number), seed=number, size=max(height, width))
    return np.asarray(face.resize((width, height), Image.Resampling.BILINEAR))


def every_other(faces: Faces, part: int) -> Faces:
    """The faces of even (0) or odd (1) numbers."""
    return lambda number, height, width: faces(2 * number + part, height, width)


def photo_faces(paths: Sequence[Path], preprocessing: Preprocessing) -> Faces:
    """Photos, over and over; one that cannot be read raises a DataError when it is its turn."""

    @lru_cache(maxsize=64)
    def square(index: int) -> Image.Image:
        photo = load_image(paths[index])
        crop_size, size = preprocessing.crop_size, preprocessing.image_size
        return prepare_photo(photo, crop_size=crop_size, size=size)

    def face(number: int, height: int, width: int) -> Pixels:
        photo = square(number % len(paths))
        return np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR))

    return face


def photos_in(folder: Path) -> list[Path]:
    """The photos of a folder and its subfolders, so ordered that every start is a fair sample.

    Subfolders take turns, and photos of one come in an order that does not follow their names.

    Raises:
        DataError: no such folder, or no images in it.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder of photos: {folder}")
    by_folder = defaultdict[Path, list[Path]](list)
    for path in image_files(folder):
        by_folder[path.parent].append(path)
    if not by_folder:
        raise DataError(f"{folder} holds no images; name a folder of photos like the model's own")
    columns = [sorted(paths, key=_shuffled) for paths in by_folder.values()]
    return [path for path in chain.from_iterable(zip_longest(*columns)) if path is not None]


def calibration_on_synthetic_faces() -> CalibrationFaces:
    """Drawn faces; the proof takes those of even numbers."""
    faces = every_other(synthetic_face, 1)
    facts = {"faces": "synthetic", "ranges": NUM_CALIBRATION, "held_out": NUM_HELD_OUT}
    return CalibrationFaces(ranges=faces, held_out=faces, facts=facts)


def calibration_on_photos(
    folder: Path, preprocessing: Preprocessing, *, spare: bool
) -> CalibrationFaces:
    """Photos to quantise with; copies of one photo count once.

    Args:
        folder: where the photos are.
        preprocessing: how they become the model's images.
        spare: whether to keep some of them for the proof.

    Raises:
        DataError: no such folder, or too few photos in it.
    """
    photos = _distinct(photos_in(folder))
    if len(photos) < MIN_CALIBRATION:
        raise DataError(
            f"{folder} holds {len(photos)} different photos, and INT8 needs {MIN_CALIBRATION} at "
            f"least, better {NUM_CALIBRATION}",
            hint="give more photos, or leave out `calibration` for synthetic faces",
        )
    if len(photos) < NUM_CALIBRATION:
        _log.warning(
            "INT8 is calibrated on %d photos, which is few: %d are wanted, so they are repeated, "
            "and other photos may be translated less exactly",
            len(photos),
            NUM_CALIBRATION,
        )
    kept = max(1, len(photos) // SPARED_SHARE) if spare else 0
    used = photos[: min(NUM_CALIBRATION + NUM_HELD_OUT, len(photos) - kept)]
    num_held_out = max(1, len(used) * NUM_HELD_OUT // (NUM_CALIBRATION + NUM_HELD_OUT))
    ranges, held_out = used[:-num_held_out], used[-num_held_out:]
    return CalibrationFaces(
        ranges=photo_faces(ranges, preprocessing),
        held_out=photo_faces(held_out, preprocessing),
        facts={
            "faces": "photos",
            "ranges": len(ranges),
            "held_out": len(held_out),
            "sha256": hashlib.sha256("".join(map(_sha256, used)).encode()).hexdigest(),
        },
        used=tuple(used),
        spare=tuple(photos[len(used) :]) if spare else (),
    )


def proof_photos(folder: Path, used: Iterable[Path]) -> list[Path]:
    """The photos of a folder without copies of those that a model was calibrated on.

    Raises:
        DataError: no such folder, or no other photos in it.
    """
    used = tuple(used)
    sizes, contents = {_size(path) for path in used}, {_sha256(path) for path in used}
    found = photos_in(folder)
    others = [p for p in found if _size(p) not in sizes or _sha256(p) not in contents]
    if not others:
        raise DataError(
            f"all photos in {folder} are those that INT8 is calibrated on, which prove nothing",
            hint="give other photos as `images`, or leave it out",
        )
    return others


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Files of different content, the first of each."""
    paths = list(paths)
    num_of_size = Counter(map(_size, paths))
    found = dict[str, Path]()
    for path in paths:
        is_single = num_of_size[_size(path)] == 1
        found.setdefault(str(path) if is_single else _sha256(path), path)
    return list(found.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a broken link, which is reported when it is read
        return -1


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return str(path)


def _shuffled(path: Path) -> str:
    return hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()
