"""Faces that were found are remembered for a while: a slider sends the same photo many times."""

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from PIL import Image

from stargan_deploy.faces.detection import FaceDetector
from stargan_deploy.faces.face import Face
from stargan_deploy.files.images import Pixels

if TYPE_CHECKING:
    import onnxruntime

KEPT_PHOTOS = 64
"""Photos whose faces are remembered; of a photo only a digest is kept."""


class RememberingDetector(FaceDetector):
    """Finds faces, and those of a photo that it saw lately at once.

    Args:
        session: as `FaceDetector` takes it.
    """

    def __init__(self, session: "onnxruntime.InferenceSession") -> None:
        super().__init__(session)
        self._lock = threading.Lock()
        self._found = OrderedDict[bytes, tuple[Face, ...]]()

    def find(self, photo: Image.Image | Pixels) -> tuple[Face, ...]:
        """As `FaceDetector.find`."""
        image = photo if isinstance(photo, Image.Image) else Image.fromarray(photo)
        key = hashlib.blake2b(image.tobytes(), person=b"%dx%d" % image.size).digest()
        with self._lock:
            known = self._found.get(key)
            if known is not None:
                self._found.move_to_end(key)
                return known
        faces = super().find(image)
        with self._lock:
            self._found[key] = faces
            while len(self._found) > KEPT_PHOTOS:
                self._found.popitem(last=False)
        return faces
