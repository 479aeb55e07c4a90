"""A face in a photo.

Points and boxes are (x, y) in pixels of the photo, continuous: (0, 0) is its top left corner.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face in a photo."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom; may reach beyond the photo."""
    landmarks: npt.NDArray[np.float32]
    """(5, 2): left eye, right eye, nose, left and right corner of the mouth, as seen in the photo
    when the face is upright."""
    score: float
    """Confidence of the network, from 0.5 to 1."""

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)
