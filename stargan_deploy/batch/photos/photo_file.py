"""Photo files: read once, hashed, and decoded with what is to be kept of their metadata."""

import hashlib
import io
import stat
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stargan_deploy.errors import ImageError
from stargan_deploy.files.images import encode_image, format_of, image_errors, to_rgb
from stargan_deploy.files.metadata import AI_EDITED_XMP, Metadata, read_metadata, to_srgb

MAX_FILE_BYTES = 1 << 29
"""Largest file that is taken for a photo; it is read whole."""


@dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """The content of one file."""

    path: Path
    content: bytes
    sha256: str


def read_photo(path: Path) -> PhotoFile:
    """Reads a file whole.

    Raises:
        ImageError: no such file, not a regular one, too large for a photo, or unreadable.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
            raise ImageError(f"{path} is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path} is too large: {status.st_size:,} bytes; a photo has at most "
                f"{MAX_FILE_BYTES:,}"
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    return PhotoFile(path=path, content=content, sha256=hashlib.sha256(content).hexdigest())


def decode_photo(file: PhotoFile, keep: Set[str] = frozenset()) -> tuple[Image.Image, Metadata]:
    """An upright RGB image with the metadata that its pictures will carry.

    Where the colour profile is not kept, the colours are converted to sRGB.

    Args:
        file: the photo.
        keep: which of "exif" and "icc" to keep.

    Raises:
        ImageError: not an image, truncated, or unreasonably large.
    """
    with image_errors(file.path), Image.open(io.BytesIO(file.content)) as image:
        rgb = to_rgb(image)
        metadata = read_metadata(image, keep)  # after it, because this edits the image's EXIF
        return (rgb if metadata.icc_profile else to_srgb(rgb, image)), metadata


def encode_translated(picture: Image.Image, path: Path, metadata: Metadata) -> bytes:
    """The bytes of a translated picture, marked as edited by AI.

    Args:
        picture: RGB.
        path: of its file, whose ending decides the format.
        metadata: what is kept of the photo's.
    """
    return encode_image(
        picture,
        format_of(path),
        exif=metadata.exif,
        icc_profile=metadata.icc_profile,
        xmp=AI_EDITED_XMP,
    )
