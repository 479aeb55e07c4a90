"""Photo files: read once, hashed, decoded with the metadata to keep, and written."""

import hashlib
import io
import stat
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from stargan_deploy.batch.outcome import WrittenImage
from stargan_deploy.batch.pipeline import Sink, Source, SourceImage
from stargan_deploy.batch.plan import Photo
from stargan_deploy.errors import ImageError, OutputError
from stargan_deploy.files.atomic import write_bytes
from stargan_deploy.files.colours import ValueRange
from stargan_deploy.files.images import encode_image, format_of, image_errors, to_rgb
from stargan_deploy.files.metadata import AI_EDITED_XMP, Metadata, read_metadata

MAX_FILE_BYTES = 1 << 29
"""Largest file that is taken for a photo; it is read whole."""

Write = Callable[[Path, bytes], None]
"""Writes a file atomically."""


@dataclass(frozen=True, kw_only=True)
class PhotoFile(SourceImage):
    """The content of one file."""

    path: Path
    keep: Set[str] = frozenset()
    """Which of "exif" and "icc" decoding keeps."""
    value_range: ValueRange | None = None
    """Values of a deep photo that become black and white."""

    def decode(self) -> tuple[Image.Image, Metadata]:
        """Return an upright RGB image and its metadata; see `decode_photo`."""
        return decode_photo(self, self.keep)


class PhotoFiles(Source):
    """Photos read from their files.

    Args:
        keep: which of "exif" and "icc" to keep.
        value_range: values of deep photos that become black and white.
    """

    def __init__(self, keep: Set[str] = frozenset(), value_range: ValueRange | None = None) -> None:
        self._keep = keep
        self._range = value_range

    def read(self, photo: Photo) -> PhotoFile:
        """Read a photo's file whole; see `read_photo`."""
        return replace(read_photo(photo.path, self._keep), value_range=self._range)


class ImageFiles(Sink):
    """Images written to the places that the plan gave them.

    Args:
        write: writes one file.
    """

    def __init__(self, write: Write = write_bytes) -> None:
        self._write = write

    def write(
        self, photo: Photo, index: int, image: Image.Image, metadata: Metadata
    ) -> WrittenImage:
        """Encode and write one image, marked as edited by AI."""
        path = photo.outputs[index]
        return self._publish(photo, path, encode_translated(image, path, metadata))

    def copy(self, photo: Photo, index: int) -> WrittenImage:
        """Write the photo itself, or a PNG of it where its format is not written."""
        file, path = read_photo(photo.path), photo.outputs[index]
        same = path.suffix == photo.path.suffix
        content = file.content if same else encode_image(file.decode()[0], format_of(path))
        return self._publish(photo, path, content)

    def _publish(self, photo: Photo, path: Path, content: bytes) -> WrittenImage:
        if photo.may_replace or not _is_there_already(path, content):
            self._write(path, content)
        digest = hashlib.sha256(content).hexdigest()
        return WrittenImage(path=path, sha256=digest, size_bytes=len(content))


def read_photo(path: Path, keep: Set[str] = frozenset()) -> PhotoFile:
    """Read a file whole.

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
    sha256 = hashlib.sha256(content).hexdigest()
    return PhotoFile(path=path, content=content, keep=keep, sha256=sha256)


def decode_photo(
    file: PhotoFile,
    keep: Set[str] = frozenset(),
    *,
    check: Callable[[Image.Image], None] = lambda _image: None,
) -> tuple[Image.Image, Metadata]:
    """Return an upright RGB image with the metadata that its translations carry.

    Where the colour profile is not kept, the colours are converted to sRGB.

    Args:
        file: the photo.
        keep: which of "exif" and "icc" to keep.
        check: sees the image after its header was read and before its pixels are, and raises an
            ImageError that names the path of one that is not to be decoded.

    Raises:
        ImageError: not an image, truncated, or unreasonably large.
    """
    with image_errors(file.path, file.content), Image.open(io.BytesIO(file.content)) as image:
        check(image)
        keeps_colours = "icc" in keep and image.mode == "RGB"
        rgb = to_rgb(image, file.value_range, keep_profile=keeps_colours)
        return rgb, read_metadata(image, keep)  # last, because this edits the image's EXIF


def encode_translated(image: Image.Image, path: Path, metadata: Metadata) -> bytes:
    """Return the bytes of a translated image, marked as edited by AI.

    Args:
        image: RGB.
        path: of its file, whose ending decides the format.
        metadata: what is kept of the photo's.
    """
    return encode_image(
        image,
        format_of(path),
        exif=metadata.exif,
        icc_profile=metadata.icc_profile,
        xmp=AI_EDITED_XMP,
    )


def _is_there_already(path: Path, content: bytes) -> bool:
    """Whether this very file exists, because a killed run wrote and did not record it.

    Raises:
        OutputError: there is another file, perhaps somebody's.
    """
    try:
        there = path.read_bytes() if path.stat().st_size == len(content) else b""
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"cannot look at {path}: {error.strerror or error}") from error
    if there != content:
        raise OutputError(
            f"{path} exists and was not written by this run", hint="`overwrite` replaces it"
        )
    return True
