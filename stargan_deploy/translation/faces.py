"""Photos that nobody cropped: their faces found, aligned, and blended back when translated."""

import threading
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.images import Pixels
from stargan_deploy.translation.alignment import align_face
from stargan_deploy.translation.blending import blend_faces
from stargan_deploy.translation.face_detection import FaceDetector
from stargan_deploy.translation.framing import Framed


@dataclass(frozen=True, kw_only=True)
class FacesInPhoto:
    """One tile a face; the picture is the whole photo."""

    detector: FaceDetector
    which: Literal["largest", "all"]
    crop_size: int | None
    """Side of the training's crop in pixels, or None for the largest square."""
    size: int
    """Side S in pixels."""
    num_ahead: int = 4
    """Whole photos are held, so that few may be decoded ahead."""
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def frame(self, photo: Image.Image) -> Framed:
        """Cuts the faces out of an RGB photo; none is no tile."""
        with self._turn:
            found = self.detector.find(np.asarray(photo))
        if self.which == "largest":
            found = found[:1]
        faces = [align_face(photo, f, crop_size=self.crop_size, size=self.size) for f in found]
        empty = np.empty((0, self.size, self.size, 3), np.uint8)

        def compose(tiles: Pixels) -> Image.Image:
            return blend_faces(photo, list(zip(faces, tiles, strict=True)))

        return Framed(
            tiles=np.stack([face.pixels for face in faces]) if faces else empty,
            compose=compose,
            held_bytes=photo.width * photo.height * 3,
        )
