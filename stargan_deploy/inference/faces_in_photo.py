"""Uncropped photos: their faces are detected, aligned, and blended back when translated."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.card.card import ModelCard
from stargan_deploy.faces.alignment import CELEBA, CELEBA_HQ, align_face
from stargan_deploy.faces.blending import blend_faces
from stargan_deploy.faces.detection import FaceDetector
from stargan_deploy.files.images import Pixels
from stargan_deploy.inference.framing import Fit, Framed, Framing, Size, WholePhoto, side_of


@dataclass(frozen=True, kw_only=True)
class FacesInPhoto:
    """One tile per face; the result is the whole photo."""

    detector: FaceDetector
    which: Literal["largest", "all"]
    crop_size: int | None
    """Side of the centre crop in training, in pixels, which marks a model trained on images aligned
    like CelebA's; None for square images, taken to be aligned like CelebA-HQ's."""
    size: int
    """Side S in pixels."""
    only: int | None = None
    """Number of the only face to take, from 1 for the largest; None takes all that `which` says."""
    num_ahead: int = 4
    """Photos that may be decoded ahead; few, since whole photos are held."""

    def frame(self, photo: Image.Image) -> Framed:
        """Cuts the faces out of an RGB photo; without a face there is no tile."""
        found = self.detector.find(photo)[: 1 if self.which == "largest" else None]
        if self.only is not None:
            found = found[self.only - 1 : self.only]
        template = CELEBA_HQ if self.crop_size is None else CELEBA
        faces = [
            align_face(photo, face, crop_size=self.crop_size, size=self.size, template=template)
            for face in found
        ]
        no_tiles = np.empty((0, self.size, self.size, 3), np.uint8)

        def compose(tiles: Pixels) -> Image.Image:
            return blend_faces(photo, list(zip(faces, tiles, strict=True)))

        return Framed(
            tiles=np.stack([face.pixels for face in faces]) if faces else no_tiles,
            compose=compose,
            held_bytes=photo.width * photo.height * 3,
            boxes=tuple(face.box for face in found),
        )


def make_framing(
    card: ModelCard,
    *,
    fit: Fit = "crop",
    size: Size | None = None,
    faces: Literal["largest", "all"] | None = None,
    only: int | None = None,
    detector: FaceDetector | None = None,
) -> Framing:
    """The way from photos to a model's tiles and back.

    Args:
        card: the model's.
        fit: how a photo becomes a square, where faces are not looked for.
        size: side of the tiles in pixels; None takes that of training, and so does "photo", whose
            results have the photo's own size.
        faces: which faces to look for; None takes photos as they are.
        only: number of the only face to take of these, from 1 for the largest.
        detector: finds the faces; None opens one.

    Raises:
        BackendError: faces are wanted, and the detector is not installed.
    """
    crop_size = card.preprocessing.crop_size
    side = side_of(size) or card.preprocessing.image_size
    if faces is None:
        how = card.preprocessing
        return WholePhoto(
            fit=fit,
            crop_size=crop_size,
            size=side,
            condition=how.condition,
            pair_ratio=how.pair_ratio,
            at_photo_size=size == "photo",
            keeps_detail=bool(card.labels.sets),
        )
    detector = detector or FaceDetector.open()
    return FacesInPhoto(detector=detector, which=faces, crop_size=crop_size, size=side, only=only)
