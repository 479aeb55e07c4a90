"""Photos of requests: checked, decoded and cut like those of a batch; results in any format."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from stargan_deploy.batch.photos.photo_file import PhotoFile, decode_photo
from stargan_deploy.batch.plan import ImageOptions
from stargan_deploy.card.card import ModelCard
from stargan_deploy.files.metadata import Metadata
from stargan_deploy.serving.problems import TooManyPixelsError, UnknownTypeError

TAKEN_FORMATS = frozenset(
    (
        *("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF"),
        *("JPEG2000", "PPM", "QOI"),
    )
)
"""Formats of photos that are taken from clients, as Pillow names them. Others are for files of the
user's own, like Postscript, which Pillow has another program run."""

MEDIA_TYPES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
}
"""Endings of the formats that results are written in."""

SAME_MEDIA_TYPE = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # what phones write and call .jpg
    "WEBP": "image/webp",
}
"""Formats that a result shares with its photo; the results of others are PNG."""

ZIP = "application/zip"

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of files in a ZIP, which then is the same for the same images."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One photo of a request."""

    content: bytes
    number: int
    """Place among the request's photos, from 1."""

    @property
    def path(self) -> Path:
        """Stands for the photo in messages: its name at the client's is never used."""
        return Path(f"image {self.number}")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A photo, upright and in RGB."""

    image: Image.Image
    metadata: Metadata
    """What results keep of it."""
    media_type: str
    """The format of results where the client has no preference."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file of an answer."""

    name: PurePosixPath
    """Path in a ZIP, without its ending."""
    media_type: str
    content: bytes

    @property
    def file_name(self) -> str:
        """Path in a ZIP."""
        return f"{self.name}{MEDIA_TYPES[self.media_type]}"


def decode(upload: Upload, options: ImageOptions, card: ModelCard, *, max_pixels: int) -> Decoded:
    """Decode a photo as a batch does.

    Args:
        upload: the photo.
        options: how images are made.
        card: the model's.
        max_pixels: most pixels that its header may announce.

    Raises:
        UnknownTypeError: not an image of a format that is taken.
        TooManyPixelsError: too many pixels.
        ImageError: a broken image.
    """
    media_types = []

    def check(image: Image.Image) -> None:
        if image.format not in TAKEN_FORMATS:
            raise UnknownTypeError(
                f"{upload.path} is a {image.format} file, which is not taken",
                hint="convert it to PNG or JPEG",
            )
        if image.width * image.height > max_pixels:
            raise TooManyPixelsError(
                f"{upload.path} has {image.width}x{image.height} pixels; at most "
                f"{max_pixels / 1e6:g} million are taken"
            )
        media_types.append(SAME_MEDIA_TYPE.get(image.format, "image/png"))

    file = PhotoFile(
        path=upload.path,
        content=upload.content,
        sha256="",  # for manifests
        keep=options.keep,
        value_range=options.range or card.preprocessing.value_range,
    )
    image, metadata = decode_photo(file, options.keep, check=check)
    return Decoded(image=image, metadata=metadata, media_type=media_types[0])


def zipped(pictures: Sequence[Picture]) -> bytes:
    """A ZIP of several pictures, which are compressed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            archive.writestr(zipfile.ZipInfo(picture.file_name, EPOCH), picture.content)
    return buffer.getvalue()
