"""Faces aligned to their place in a model's training images, by a similarity transform.

Points are (x, y) in pixels, continuous: an image's top left corner is (0, 0), and the centre of
its first pixel (0.5, 0.5). A matrix (2, 3) maps a column (x, y, 1) to another image's (x, y).

Shapes: P points, S side of a tile, H and W of a photo.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.errors import ImageError
from stargan_deploy.faces.face import Face
from stargan_deploy.files.images import Pixels

Points = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Template:
    """Position of the eyes and the mouth in a data set's images."""

    width: int
    """Width of the images in pixels."""
    height: int
    """Height of the images in pixels."""
    left_eye: tuple[float, float]
    """The eye on the left of the image."""
    right_eye: tuple[float, float]
    """The eye on the right of the image."""
    mouth: tuple[float, float]
    """Midpoint between the corners of the mouth."""


CELEBA = Template(
    width=178,
    height=218,
    left_eye=(70.245, 111.5),
    right_eye=(107.737, 111.5),
    mouth=(88.932, 153.014),
)
"""CelebA's aligned images: the points of the authors' own MATLAB function `align_face_celeba`
(70.745, 112), (108.237, 112), (89.432, 153.514), which counts the centre of the first pixel as 1.
It aligns these three points, not the nose, and repeats the edges of a photo outwards."""

CELEBA_HQ = Template(
    width=1024,
    height=1024,
    left_eye=(386.5, 484.0),
    right_eye=(637.5, 484.0),
    mouth=(512.0, 761.0),
)
"""CelebA-HQ and FFHQ: squares of four eye distances around a point a tenth of the way from the eyes
to the mouth (Karras et al., ICLR 2018, appendix C); faces are a sixth larger than in a crop of 178
out of CelebA. The eye distance is the mean over 600 images; the mouth is as far away as in CelebA's
template."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedFace:
    """A face cut out of its photo, as in the training images."""

    pixels: Pixels
    """The tile, RGB (S, S, 3) in [0, 255]."""
    matrix: Matrix
    """(2, 3), from pixels of the photo to pixels of the tile."""
    landmarks: Points
    """(5, 2), in pixels of the tile."""


def align_face(
    photo: Image.Image,
    face: Face,
    *,
    crop_size: int | None,
    size: int,
    template: Template = CELEBA,
) -> AlignedFace:
    """Rotates, scales and crops a face as CelebA's authors and then the training did.

    Args:
        photo: RGB.
        face: found in this photo.
        crop_size: side of the centre square that the training cut out of the template's image,
            in pixels; None takes the largest.
        size: side S of the tile in pixels.
        template: layout of the images that the model was trained on.

    Raises:
        ImageError: all landmarks lie in one place.
    """
    matrix = photo_to_tile(face.landmarks, crop_size=crop_size, size=size, template=template)
    pixels = np.asarray(warp(photo, matrix, size))
    return AlignedFace(pixels=pixels, matrix=matrix, landmarks=transform(matrix, face.landmarks))


def photo_to_tile(
    landmarks: Points, *, crop_size: int | None, size: int, template: Template = CELEBA
) -> Matrix:
    """The matrix of `align_face` for landmarks (5, 2)."""
    side = min(crop_size or template.width, template.width, template.height)
    corner = np.array([round((template.width - side) / 2), round((template.height - side) / 2)])
    wanted = np.array([template.left_eye, template.right_eye, template.mouth])
    return fit_similarity(eyes_and_mouth(landmarks), (wanted - corner) * (size / side))


def eyes_and_mouth(landmarks: Points) -> Points:
    """Both eyes and the middle of the mouth (3, 2) of the landmarks (5, 2).

    The nose is left out, since it moves sideways when the head turns.
    """
    return np.stack([landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2])


def fit_similarity(source: Points, target: Points) -> Matrix:
    """The rotation, scale and shift (2, 3) that best map points (P, 2) to others, by least squares.

    In the plane, Umeyama's solution (PAMI 1991) without mirroring is one complex division.

    Raises:
        ImageError: all source points lie in one place, or are not finite.
    """
    z, w = (np.asarray(points, np.float64) @ np.array([1, 1j]) for points in (source, target))
    spread = z - z.mean()
    square = float((spread * spread.conj()).real.sum())
    if not 1e-6 < square < math.inf:
        raise ImageError("all landmarks of this face lie in one place")
    factor = (spread.conj() * (w - w.mean())).sum() / square
    shift = w.mean() - factor * z.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def invert(matrix: Matrix) -> Matrix:
    """The matrix (2, 3) that undoes another."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])


def transform(matrix: Matrix, points: Points) -> npt.NDArray[np.float64]:
    """Points (P, 2) mapped by a matrix (2, 3)."""
    moved: npt.NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def scale_of(matrix: Matrix) -> float:
    """Factor by which a similarity enlarges."""
    return math.hypot(matrix[0, 0], matrix[1, 0])


def warp(photo: Image.Image, matrix: Matrix, size: int) -> Image.Image:
    """Samples a square tile through a similarity; edges are repeated outwards, as in CelebA.

    Reductions are antialiased: whole blocks of the photo are averaged first, then the tile is
    sampled on a finer grid and resized with the bilinear filter, as in training.

    Args:
        photo: RGB; only the part under the tile is read.
        matrix: (2, 3), from the photo's pixels to the tile's.
        size: side of the tile in pixels.
    """
    inverse = invert(matrix)
    step = scale_of(inverse)
    block = max(1, int(step / 2))
    part, corner = _padded_part(photo, inverse, size, block)
    oversampling = max(1, math.ceil(step / block))
    to_part = inverse.copy()
    to_part[:, 2] -= corner
    to_part /= block
    to_part[:, :2] /= oversampling
    fine_size = size * oversampling
    fine = part.transform(
        (fine_size, fine_size),
        Image.Transform.AFFINE,
        tuple(to_part.ravel()),
        Image.Resampling.BICUBIC,
    )
    return fine.resize((size, size), Image.Resampling.BILINEAR)


def _padded_part(
    photo: Image.Image, inverse: Matrix, size: int, block: int
) -> tuple[Image.Image, npt.NDArray[np.int64]]:
    """The part under a tile, averaged by blocks and padded; and its top left corner in the photo.

    Args:
        photo: RGB.
        inverse: from the tile's pixels to the photo's.
        size: side of the tile in pixels.
        block: side of the averaged blocks in pixels of the photo.
    """
    outline = transform(inverse, np.array([[0, 0], [size, 0], [size, size], [0, size]]))
    margin = 3 * block  # the bicubic filter reaches two pixels beyond the outline
    low = np.floor((outline.min(0) - margin) / block).astype(np.int64) * block
    high = np.ceil((outline.max(0) + margin) / block).astype(np.int64) * block
    first = np.clip(low, 0, np.array(photo.size) - 1)
    last = np.clip(high, first + 1, photo.size)
    inside = np.asarray(photo.reduce(block, box=(*first.tolist(), *last.tolist())))
    missing = np.maximum((high - low) // block - inside.shape[1::-1], 0)
    before = np.clip((first - low) // block, 0, missing)
    after = missing - before
    padding = ((before[1], after[1]), (before[0], after[0]), (0, 0))
    return Image.fromarray(np.pad(inside, padding, mode="edge")), low
