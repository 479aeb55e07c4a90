"""Colours of any image to 8-bit sRGB: deep grey on one scale, colour profiles, transparency.

Deep images have more than 8 bits a value. They are all brought to 8 bits on one scale, a data set's
or the full range of their type, never by the content of each.
"""

import io
import math

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from stargan_deploy.errors import ImageError

ValueRange = tuple[float, float]
"""The values that become black and white."""

NARROW = "stargan_deploy.narrow"
"""Key in an RGB image's `info` where its file was deep and it uses little of the range."""

NARROW_WORDS = "deep, and use less than a tenth of the range of their type"

NARROW_SHARE = 0.1
"""Share of the range below which an image is remarked upon."""

RANGE_HINT = "set `data.range`, or `range` of a batch, to the values that are black and white"

_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")

BITS_TAG, FORMAT_TAG, SIGNED = 258, 339, 2
"""TIFF's BitsPerSample, SampleFormat, and the format of signed integers."""


def check_range(value_range: ValueRange | None) -> None:
    """Refuses a range that leads nowhere.

    Raises:
        ValueError: its end is not above its start.
    """
    if value_range is not None and not -math.inf < value_range[0] < value_range[1] < math.inf:
        raise ValueError(f"range must be two rising numbers, not {list(value_range)}")


def is_deep_colour(image: Image.Image) -> bool:
    """Whether a file, opened and not loaded, has 16 bits a channel, of which Pillow reads 8."""
    tiles = getattr(image, "tile", None) or ()
    return any(";16" in str(tile[3]) for tile in tiles if len(tile) > 3)


def is_deep_grey(image: Image.Image) -> bool:
    """Whether an image is grey of 16 or 32 bits."""
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def to_8_bit(image: Image.Image, full: ValueRange, value_range: ValueRange | None) -> Image.Image:
    """A deep grey image in 8 bits.

    Args:
        image: grey of 16 or 32 bits.
        full: the range of its type.
        value_range: the values for black and white, beyond which all is cut; None takes the range
            of the type, beyond which nothing may be.

    Raises:
        ImageError: values that are not finite, or beyond the range of the type.
    """
    values = np.asarray(image).astype(np.float64)
    low, high = value_range or full
    if not np.isfinite(values).all():
        raise ImageError("values that are not finite")
    least, greatest = float(values.min(initial=high)), float(values.max(initial=low))
    if value_range is None and (least < low or greatest > high):
        raise ImageError(
            f"values from {least:g} to {greatest:g} are beyond {low:g} to {high:g}",
            hint=RANGE_HINT,
        )
    share = ((values - low) / (high - low)).clip(0, 1)
    grey = Image.fromarray(np.rint(share * 255).astype(np.uint8))
    grey.info = dict(image.info)
    return grey


def full_range(image: Image.Image) -> ValueRange:
    """The full range of a deep grey image's type; 0 to 1 for floats."""
    if image.mode == "F":
        return 0.0, 1.0
    if not isinstance(image, TiffImageFile):
        return 0.0, 65535.0
    bits = int(image.tag_v2.get(BITS_TAG, (16,))[0])
    if image.tag_v2.get(FORMAT_TAG, (1,))[0] == SIGNED:
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def narrow_note(number: int, num_all: int, setting: str) -> str:
    """A line about deep images that use little of the range, and come out nearly flat.

    Args:
        number: of such images.
        num_all: number of all.
        setting: what sets the range.
    """
    images = f"{num_all} image{'' if num_all == 1 else 's'}"
    return f"{NARROW_WORDS}: {number} of {images}; `{setting}` sets the values for black and white"


def is_narrow(image: Image.Image) -> bool:
    """Whether an image of 8 bits uses little of their range."""
    extrema = image.convert("L").getextrema()
    least, greatest = (float(value) for value in extrema if isinstance(value, int | float))
    return greatest - least < NARROW_SHARE * 255


def to_srgb(image: Image.Image) -> Image.Image:
    """An image of 8 bits in RGB, or RGBA where it is transparent, by its own colour profile.

    The profile is applied to the image's own colours: CMYK, grey, Lab. One that is damaged, or of
    another kind of image, is not.
    """
    profile = _profile_of(image)
    has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    rgb = _converted(image, profile) or _plain_rgb(image)
    if alpha is not None:
        rgb.putalpha(alpha)
    return rgb


def over_white(image: Image.Image) -> Image.Image:
    """An RGB or RGBA image in RGB, with white behind what is transparent."""
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _profile_of(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The image's profile, unless it is damaged, or sRGB itself."""
    content = image.info.get("icc_profile")
    if not content and image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        return None if "sRGB" in ImageCms.getProfileDescription(profile) else profile
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # the pixels are as good as those of a file without one


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image | None:
    """The colours of an image in sRGB; None where the profile does not fit them."""
    if profile is None:
        return None
    space = profile.profile.xcolor_space.strip()
    try:
        if space == "RGB" and image.mode not in ("CMYK", "LAB"):
            own = image.convert("RGBA").convert("RGB")
        elif space == "GRAY" and image.mode in ("1", "L", "LA", "La"):
            own = image.convert("LA").getchannel("L") if "A" in image.mode else image.convert("L")
        elif (space, image.mode) in (("CMYK", "CMYK"), ("Lab", "LAB")):
            own = image
        else:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(own, profile, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _plain_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _converted(image, lab) or Image.new("RGB", image.size)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
