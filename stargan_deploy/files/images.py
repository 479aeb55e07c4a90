"""Pixels in and out: decoding any photo to RGB, and writing files.

Pixels are uint8 in [0, 255], (H, W, 3) or (N, H, W, 3); see `card.pixels` for what networks take.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from stargan_deploy.card import pixels
from stargan_deploy.errors import ImageError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.files.colours import (
    NARROW,
    ValueRange,
    full_range,
    is_deep_colour,
    is_deep_grey,
    is_narrow,
    over_white,
    to_8_bit,
    to_srgb,
)
from stargan_deploy.files.formats import explain_unread

Pixels = pixels.Pixels

KEPT_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""Formats that an output shares with its input, by ending; all others become PNG."""

JPEG_QUALITY = 95

_ENCODER_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0},
    "WEBP": {"quality": 95},
    "PNG": {},
}

SQUARES = 2
"""Width by height of a pair of squares side by side."""

SHAPE_TOLERANCE = 0.01
"""Share of the height by which the width of a pair of another shape may differ."""

BEYOND_CROP = "beyond crop"
"""Key in the `info` of an image that was cropped to its largest square instead of a scrap."""

MAX_CROP_RATIO = 2
"""A photo whose shorter side exceeds so many crop sizes is unlike the training's."""


def load_image(path: Path, value_range: ValueRange | None = None) -> Image.Image:
    """Decodes a file to an upright RGB image in sRGB.

    EXIF orientation is applied, transparency laid over white, 16-bit and float grey scaled to
    8 bits, colour profiles, CMYK and palettes converted, and the first frame of an animation taken.

    Args:
        path: of the file.
        value_range: as `to_rgb` takes it.

    Raises:
        ImageError: there is no such file, or it is not an image, truncated, or unreasonably large.
    """
    with image_errors(path), Image.open(path) as image:
        return to_rgb(image, value_range)


@contextmanager
def image_errors(path: Path, content: bytes | None = None) -> Iterator[None]:
    """Runs a block that decodes a file; hides Pillow's warnings.

    Args:
        path: of the file, for the message.
        content: of the file; None reads the beginning of the file where it is asked for.

    Raises:
        ImageError: whatever the decoder raised.
    """
    try:
        with _quiet_decoders:
            yield
    except ImageError as error:
        if str(path) in error.message:
            raise
        raise ImageError(f"{path}: {error.message}", hint=error.hint) from error
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except UnidentifiedImageError as error:
        raise explain_unread(path, content) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large: {error}") from error
    except Exception as error:  # a decoder raises whatever hostile bytes make it trip over
        raise ImageError(f"{path} is broken: {str(error) or type(error).__name__}") from error


def to_rgb(
    image: Image.Image, value_range: ValueRange | None = None, *, keep_profile: bool = False
) -> Image.Image:
    """An upright copy of any image in sRGB, by its own colour profile.

    Args:
        image: of any mode.
        value_range: values of a deep image that become black and white; None takes the full range
            of its type.
        keep_profile: whether the colours stay as they are, because the profile is kept with them.

    Raises:
        ImageError: values of a deep image beyond the range of its type, or not finite.
    """
    is_deep = is_deep_colour(image)
    image.load()
    upright = ImageOps.exif_transpose(image)
    if is_deep_grey(upright):
        is_deep, upright = True, to_8_bit(upright, full_range(image), value_range)
    if keep_profile:
        upright.info.pop("icc_profile", None)
    rgb = over_white(to_srgb(upright))
    rgb.info = {NARROW: True} if is_deep and is_narrow(rgb) else {}
    return rgb


def output_suffix(path: Path) -> str:
    """The ending of a translated file: its own where the format is kept, else `.png`."""
    return path.suffix if path.suffix.lower() in KEPT_FORMATS else ".png"


def save_image(image: Image.Image, path: Path) -> None:
    """Encodes by the file's ending and writes atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, encode_image(image, format_of(path)))


def format_of(path: Path) -> str:
    """The format of a file by its ending, as Pillow names it."""
    return KEPT_FORMATS.get(path.suffix.lower(), "PNG")


def encode_image(
    image: Image.Image,
    file_format: str,
    *,
    exif: bytes | None = None,
    icc_profile: bytes | None = None,
    xmp: str | None = None,
) -> bytes:
    """The bytes of an image file.

    Args:
        image: RGB.
        file_format: one of `KEPT_FORMATS`' formats.
        exif: EXIF data, as Pillow has it.
        icc_profile: an ICC profile.
        xmp: an XMP packet.
    """
    buffer = io.BytesIO()
    options: dict[str, Any] = dict(_ENCODER_OPTIONS[file_format])
    options |= {"exif": exif} if exif else {}
    options |= {"icc_profile": icc_profile} if icc_profile else {}
    if xmp and file_format == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif xmp:
        options["xmp"] = xmp.encode()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def is_beyond_crop(photo: Image.Image, crop_size: int | None) -> bool:
    """Whether a crop would cut a scrap out of a photo far larger than the crop is meant for.

    A crop of 178 pixels is most of a CelebA image, but a cheek in a camera's.
    """
    return is_far_larger(photo.size, crop_size)


def is_far_larger(size: tuple[int, int], crop_size: int | None) -> bool:
    """Whether an image of a width and height is far larger than a crop is meant for."""
    return crop_size is not None and min(size) > MAX_CROP_RATIO * crop_size


def crop_note(number: int, num_all: int, crop_size: int | None) -> str:
    """A line about images that are far larger than their crop; None where sets have their own."""
    crop = "the crop_size of their set" if crop_size is None else f"data.crop_size={crop_size}"
    return (
        f"{number} of {num_all} images are more than twice as large as {crop}: their largest "
        "squares are taken"
    )


def fitting_crop(photo: Image.Image, crop_size: int | None) -> int | None:
    """The crop size, or None, which takes the largest square, where it would cut a scrap."""
    return None if is_beyond_crop(photo, crop_size) else crop_size


def prepare_photo(photo: Image.Image, *, crop_size: int | None, size: int) -> Image.Image:
    """A photo cropped and resized as for training; the largest square of a far larger one."""
    return centre_crop_resize(photo, crop_size=fitting_crop(photo, crop_size), size=size)


def is_pair(photo: Image.Image, ratio: float | None = None) -> bool:
    """Whether a photo has the shape of pairs side by side, but for a pixel.

    Args:
        photo: of any mode.
        ratio: width of a pair by its height; None takes two squares. Those of other shapes may
            differ by a hundredth, since pairs of one set do.
    """
    spare = 0.0 if ratio is None else SHAPE_TOLERANCE * photo.height
    return abs(photo.width - (ratio or SQUARES) * photo.height) <= 1 + spare and photo.width > 1


def halves_of(pair: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The two images of a pair side by side, without the middle column of an odd width."""
    half, end = pair.width // 2, pair.width
    return pair.crop((0, 0, half, pair.height)), pair.crop((end - half, 0, end, pair.height))


def half_of_pair(
    photo: Image.Image, side: Literal["left", "right"] | None, ratio: float | None = None
) -> Image.Image:
    """The half of a pair that a model takes; photos of other shapes, or without a side, whole."""
    if side is None or not is_pair(photo, ratio):
        return photo
    return halves_of(photo)[0 if side == "left" else 1]


def centre_crop_resize(image: Image.Image, *, crop_size: int | None, size: int) -> Image.Image:
    """Centre square, then an antialiased bilinear resize, as the official code does.

    Args:
        image: any RGB image.
        crop_size: side of the centre square in pixels; None takes the largest that fits.
            Where the image is smaller than `crop_size`, the largest square that fits is taken.
        size: side of the result in pixels.
    """
    return centre_crop(image, crop_size).resize((size, size), Image.Resampling.BILINEAR)


def centre_crop(image: Image.Image, crop_size: int | None) -> Image.Image:
    """The centre square of a side in pixels, or the largest that fits if that is less or None."""
    return image.crop(centre_box(image, crop_size))


def centre_box(image: Image.Image, crop_size: int | None) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square that `centre_crop` takes."""
    side = min(image.size) if crop_size is None else min(crop_size, *image.size)
    left = round((image.width - side) / 2)
    top = round((image.height - side) / 2)
    return left, top, left + side, top + side


class _QuietDecoders:
    """Hides Pillow's warnings while any thread decodes.

    `warnings.catch_warnings` changes the filters of the whole process: threads that leave it in
    another order than they entered it would leave the filters changed. So the first one in saves
    them and the last one out restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module="PIL")
            self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._saved.__exit__(kind, error, traceback)


_quiet_decoders = _QuietDecoders()


def resized(pixels_NHWC: Pixels, height: int, width: int) -> Pixels:
    """Images of another size, bilinear, and smoothed where they become smaller."""
    import numpy as np

    if pixels_NHWC.shape[1:3] == (height, width) or not len(pixels_NHWC):
        return pixels_NHWC
    images = (Image.fromarray(pixels) for pixels in pixels_NHWC)
    size = (width, height)
    return np.stack([np.asarray(i.resize(size, Image.Resampling.BILINEAR)) for i in images])
