"""How a photo becomes squares for the network, and translated squares become the result.

Shapes: F squares (tiles) of one photo, S their side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from stargan_deploy.errors import UsageError
from stargan_deploy.files.images import (
    Pixels,
    centre_box,
    fitting_crop,
    half_of_pair,
    prepare_photo,
)

Fit = Literal["crop", "pad", "stretch"]

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of a photo."""

Size = int | Literal["photo"]
"""Side of translated squares in pixels, or "photo" for images of the photo's own size."""

FEATHER = 16
"""One part in so many of a square's side, over which it fades into the photo around it."""


def side_of(size: Size | None) -> int | None:
    """The side of the squares that a model is asked for; None for that of training.

    Raises:
        UsageError: a side below 1.
    """
    if size == "photo":
        return None
    if size is not None and size < 1:
        raise UsageError(f"`size` must be at least 1 or photo, not {size}")
    return size


@dataclass(frozen=True, kw_only=True)
class Framed:
    """One photo in the form that the network takes."""

    tiles: Pixels
    """(F, S, S, 3) in [0, 255]; empty if the photo holds nothing to translate."""
    compose: Callable[[Pixels], Image.Image]
    """Makes the RGB result from the translated tiles (F, S, S, 3)."""
    held_bytes: int = 0
    """Memory that `compose` keeps alive, in bytes."""
    boxes: tuple[Box, ...] = ()
    """Where the tiles' faces are in the photo; none where the photo is one tile."""

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
    at_photo_size: bool = False
    """Whether the result has the photo's own size."""
    keeps_detail: bool = False
    """Whether such a result takes the details that a tile is too coarse for from the photo, as
    suits models that change a face and do not replace it."""

    @property
    def num_ahead(self) -> int:
        """Photos that may be decoded before they are needed; few where they are held."""
        return 4 if self.at_photo_size else 64

    def frame(self, photo: Image.Image) -> Framed:
        """Cuts an RGB photo of any size into one tile."""
        photo = half_of_pair(photo, self.condition, self.pair_ratio)
        framed = self._framed(photo)
        return self._at_photo_size(photo, framed) if self.at_photo_size else framed

    def _at_photo_size(self, photo: Image.Image, framed: Framed) -> Framed:
        """The same tile, whose translation is enlarged and put back into the photo."""
        box = (0, 0, *photo.size)
        if self.fit == "crop":
            box = centre_box(photo, fitting_crop(photo, self.crop_size))
        before = framed.compose(framed.tiles) if self.keeps_detail else None
        return Framed(
            tiles=framed.tiles,
            compose=lambda tiles: _put_back(photo, box, framed.compose(tiles), before),
            held_bytes=photo.width * photo.height * 3,
        )

    def _framed(self, photo: Image.Image) -> Framed:
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


def _put_back(
    photo: Image.Image,
    box: tuple[int, int, int, int],
    translated: Image.Image,
    before: Image.Image | None,
) -> Image.Image:
    """A copy of a photo with a translated part of it, enlarged to that part's size.

    Args:
        photo: RGB.
        box: left, top, right and bottom of the part.
        translated: the part's translation, of any size.
        before: the part before it was translated, in the same size; its change is what is then
            enlarged and added to the photo. None puts the enlarged translation in its place.
    """
    size = (box[2] - box[0], box[3] - box[1])
    part = translated.resize(size, Image.Resampling.BICUBIC)
    if before is not None:
        own = before.resize(size, Image.Resampling.BICUBIC)
        change = np.asarray(part).astype(np.int16) - np.asarray(own)
        levels = (np.asarray(photo.crop(box)) + change).clip(0, 255)
        part = Image.fromarray(levels.astype(np.uint8))
    result = photo.copy()
    result.paste(part, box[:2], _feathered(photo, box))
    return result


def _feathered(photo: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """A mask of a part, which fades at its edges, but not where these are the photo's own."""
    width, height = box[2] - box[0], box[3] - box[1]
    edge = max(1, min(width, height) // FEATHER)
    sides = ((width, box[0] > 0, box[2] < photo.width), (height, box[1] > 0, box[3] < photo.height))
    across, down = (_ramp(length, edge, first, last) for length, first, last in sides)
    return Image.fromarray((255 * down[:, None] * across[None]).round().astype(np.uint8))


def _ramp(length: int, edge: int, at_start: bool, at_end: bool) -> npt.NDArray[np.float32]:
    """Weights that rise over the first pixels and fall over the last ones, where they shall."""
    rising = ((np.arange(length) + 0.5) / edge).clip(0, 1).astype(np.float32)
    flat = np.ones(length, np.float32)
    return (rising if at_start else flat) * (rising[::-1] if at_end else flat)


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
