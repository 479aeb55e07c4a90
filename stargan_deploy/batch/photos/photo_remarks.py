"""Remarks about the photos of a batch that the user should know of, like their size."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from PIL import Image

from stargan_deploy.card.card import ModelCard
from stargan_deploy.files.colours import NARROW, NARROW_WORDS
from stargan_deploy.files.images import centre_crop_resize, half_of_pair, is_beyond_crop, is_pair

Trait = Literal["larger", "beyond crop", "real", "narrow", "pair"]

OF_ANY_FRAMING: frozenset[Trait] = frozenset(("real", "narrow", "pair"))
"""Traits that count however photos are framed."""

SYNTHETIC_DATA = "synthetic faces"
"""A card's `training_data` where the model never saw a photo."""

LOOK_SIZE = 64
"""Side in pixels at which an image is judged, whatever the model's own size."""

FLAT_STEP = 3
"""Greatest difference of neighbouring pixels, in 8-bit levels, that counts as flat."""

FLAT_SHARE = 0.62
"""Flat share below which an image is probably a photo.

Measured at 64x64: 900 synthetic faces drawn at 64, 128 and 256 pixels have 0.65 and more, and 4,000
real faces (CelebA-HQ) 0.08 to 0.62, the middle one 0.30.
"""


def photo_traits(image: Image.Image, card: ModelCard, size: int) -> tuple[Trait, ...]:
    """Return the traits of an RGB image that `trait_notes` counts.

    Args:
        image: a photo.
        card: the model's.
        size: side of the output images in pixels.
    """
    how = card.preprocessing
    is_of_pair = how.condition is not None and is_pair(image, how.pair_ratio)
    image = half_of_pair(image, how.condition, how.pair_ratio)
    traits: dict[Trait, bool] = {
        "larger": min(image.size) > size,
        "beyond crop": is_beyond_crop(image, card.preprocessing.crop_size),
        "real": card.training_data == SYNTHETIC_DATA and looks_like_photo(image),
        "narrow": NARROW in image.info,
        "pair": is_of_pair,
    }
    return tuple(trait for trait, holds in traits.items() if holds)


def trait_notes(
    counts: Mapping[Trait, int], num_photos: int, card: ModelCard, size: int
) -> list[str]:
    """Word one line for each trait that the user should know of.

    Args:
        counts: photos by trait.
        num_photos: all photos that were looked at.
        card: the model's.
        size: side of the output images in pixels.
    """
    own_size, crop_size = card.preprocessing.image_size, card.preprocessing.crop_size
    why = "the size of this model" if size == own_size else "as `size` says"
    way = "`size` photo or `faces` all keeps their size"
    texts: dict[Trait, str] = {
        "larger": f"larger than {size}x{size}: {{}}; they come out at {size}x{size}, {why}; {way}",
        "beyond crop": f"far larger than the model's crop of {crop_size} pixels: {{}}; their "
        "largest centre square is taken instead",
        "narrow": f"{NARROW_WORDS}: {{}}; `range` sets the values for black and white",
        "pair": f"pairs side by side: {{}}; their {card.preprocessing.condition} half is taken",
        "real": "probably real: {}; this model has only ever seen synthetic faces, so expect poor "
        "images, and train one on real faces with: stargan-deploy train --data DIR",
    }
    plural = "" if num_photos == 1 else "s"
    return [
        text.format(f"{counts[trait]} of {num_photos} photo{plural}")
        for trait, text in texts.items()
        if counts.get(trait)
    ]


def already_notes(counts: Mapping[str, int], num_photos: int, origin: str) -> list[str]:
    """Word a line for each target that photos have already, so that no strength changes them.

    Args:
        counts: photos by target.
        num_photos: all photos that were looked at.
        origin: of the photos' own labels.
    """
    by = " by this model's classifier" if origin == "predicted" else ""
    photos = f"{num_photos} photo{'' if num_photos == 1 else 's'}"
    return [
        f"{target} already{by}: {number} of {photos}; every strength asks for the same there"
        for target, number in counts.items()
    ]


def looks_like_photo(image: Image.Image) -> bool:
    """Whether an RGB image is rough everywhere, as photos are, and not drawn in flat areas."""
    return flat_share(image) < FLAT_SHARE


def flat_share(image: Image.Image) -> float:
    """Share of neighbouring pixels of the centre square that hardly differ, in [0, 1]."""
    square = centre_crop_resize(image, crop_size=None, size=LOOK_SIZE)
    pixels_HWC = np.asarray(square).astype(np.int16)
    shares = (
        (np.abs(np.diff(pixels_HWC, axis=axis)).max(axis=2) <= FLAT_STEP).mean() for axis in (0, 1)
    )
    return float(sum(shares) / 2)
