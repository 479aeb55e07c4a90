"""How a photo becomes squares for the network, and translated squares become the result.

Shapes: F squares (tiles) of one photo, S their side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from stargan_deploy.files.images import Pixels, half_of_pair, prepare_photo

Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True, kw_only=True)
class Framed:
    """One photo in the form that the network takes."""

    tiles: Pixels
    """(F, S, S, 3) in [0, 255]; empty if the photo holds nothing to translate."""
    compose: Callable[[Pixels], Image.Image]
    """Makes the RGB result from the translated tiles (F, S, S, 3)."""
    held_bytes: int = 0
    """Memory that `compose` keeps alive, in bytes."""

    def compose_all(self, tiles_FW: Pixels) -> Image.Image:
        """Make the result of one target: at several strengths a strip that begins with the photo.

        Args:
            tiles_FW: the translated tiles (F, W, S, S, 3) at W strengths.
        """
        images = [self.compose(tiles_FW[:, place]) for place in range(tiles_FW.shape[1])]
        if len(images) == 1:
            return images[0]
        return side_by_side([self.compose(self.tiles), *images])


class Framing(Protocol):
    """A way from photos to tiles and back; several threads may use it at once."""

    @property
    def num_ahead(self) -> int:
        """Photos that may be decoded before they are needed."""
        ...

    def frame(self, photo: Image.Image) -> Framed:
        """Cuts an RGB photo of any size into tiles."""
        ...


@dataclass(frozen=True, kw_only=True)
class WholePhoto:
    """One tile per photo: its centre square, or all of it."""

    fit: Fit = "crop"
    """"crop": the centre square, as in training. "pad": all of it, on a square whose rest repeats
    the border and is cut off the result. "stretch": all of it, resized to a square, and resized
    back to the photo's shape."""
    crop_size: int | None
    """Side of the centre crop in training, in pixels; None for the largest square."""
    size: int
    """Side S in pixels."""
    condition: Literal["left", "right"] | None = None
    """Half of a pair that the model takes; None for images that are no pairs."""
    pair_ratio: float | None = None
    """Width of a pair by its height; None for two squares."""
    num_ahead: int = 64

    def frame(self, photo: Image.Image) -> Framed:
        """Cuts an RGB photo of any size into one tile."""
        photo = half_of_pair(photo, self.condition, self.pair_ratio)
        if self.fit == "pad":
            return _padded(photo, self.size)
        if self.fit == "stretch":
            return _stretched(photo, self.size)
        square = prepare_photo(photo, crop_size=self.crop_size, size=self.size)
        return _framed(square, Image.fromarray)


def _padded(photo: Image.Image, size: int) -> Framed:
    width, height = fitted_size(photo.size, size)
    small = np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR))
    left, top = (size - width) // 2, (size - height) // 2
    sides = ((top, size - height - top), (left, size - width - left), (0, 0))
    return _framed(
        Image.fromarray(np.pad(small, sides, mode="edge")),
        lambda tile: Image.fromarray(tile[top : top + height, left : left + width]),
    )


def _stretched(photo: Image.Image, size: int) -> Framed:
    shape = fitted_size(photo.size, size)
    return _framed(
        photo.resize((size, size), Image.Resampling.BILINEAR),
        lambda tile: Image.fromarray(tile).resize(shape, Image.Resampling.BICUBIC),
    )


def _framed(square: Image.Image, finish: Callable[[Pixels], Image.Image]) -> Framed:
    return Framed(tiles=np.asarray(square)[None], compose=lambda tiles: finish(tiles[0]))


def fitted_size(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height of a photo resized to fit into a square of a side in pixels."""
    scale = size / max(shape)
    width, height = (max(1, round(side * scale)) for side in shape)
    return width, height


def side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    """RGB images of one height in a row."""
    strip = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    left = 0
    for image in images:
        strip.paste(image, (left, 0))
        left += image.width
    return strip
