"""Image formats: which are read, by name and by first bytes, and what the others are.

Pillow reads the formats of `IMAGE_SUFFIXES`. With the package pillow-heif, from the extra `heif`,
it reads HEIC photos too; the package is imported at the first one.
"""

import io
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from PIL import Image

from stargan_deploy.errors import ImageError

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".avifs"),
        *(".gif", ".bmp", ".dib", ".ico", ".icns", ".tif", ".tiff", ".dds", ".pcx", ".qoi"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        *(".tga", ".icb", ".vda", ".vst", ".sgi", ".rgb", ".rgba", ".bw", ".xbm", ".xpm"),
    )
)
"""Endings, in lower case, of image files that Pillow reads."""

HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif", ".heics", ".heifs"))
"""Endings, in lower case, that are read with pillow-heif."""

RAW_SUFFIXES = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
        *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
        *(".srf", ".srw", ".x3f"),
    )
)
"""Endings, in lower case, of cameras' raw files."""

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".mts")
)
"""Endings, in lower case, of videos."""

UNREAD_SUFFIXES = HEIF_SUFFIXES | RAW_SUFFIXES | VIDEO_SUFFIXES | {".jxl", ".psd", ".psb", ".exr"}
"""Endings, in lower case, of photos and videos that are not read, but named where left out."""

OTHER_SUFFIXES = frozenset(
    (
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".xmp", ".html", ".md", ".pdf"),
        *(".log", ".zip", ".tar", ".gz", ".py", ".toml", ".yaml", ".yml", ".npy", ".npz", ".mat"),
        *(".pts", ".ckpt", ".safetensors", ".onnx", ".pt", ".pth", ".thm", ".lnk", ".db", ".ini"),
        ".tmp",
    )
)
"""Endings, in lower case, of files that are no photos: not even their first bytes are read."""

HEIF_HINT = "install pillow-heif: pip install 'stargan-deploy[heif]'"

HEAD_BYTES = 32

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)


def is_read(suffix: str) -> bool:
    """Whether images with an ending, in lower case, are read here."""
    return suffix in IMAGE_SUFFIXES or (suffix in HEIF_SUFFIXES and has_heif())


@cache
def has_heif() -> bool:
    """Whether pillow-heif is installed."""
    return util.find_spec("pillow_heif") is not None


def format_of_bytes(head: bytes) -> str:
    """The format that a file's first bytes show, of those that photos come in; empty if none."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        is_heif = brand in _HEIF_BRANDS and b"avi" not in head
        return "HEIC" if is_heif else "AVIF" if b"avi" in head else ""
    return next((name for start, name in _STARTS if head.startswith(start)), "")


def head_of(path: Path) -> bytes:
    """A file's first bytes; none where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def is_unnamed_photo(path: Path) -> bool:
    """Whether a file whose name has no ending that is known here begins like a photo."""
    return format_of_bytes(head_of(path)) != ""


def explain_unread(path: Path, content: bytes | None = None) -> ImageError:
    """The complaint about a file that Pillow does not know, with what to do about it.

    Args:
        path: of the file.
        content: of the file, which need not exist then; None reads its beginning.
    """
    head = head_of(path) if content is None else content[:HEAD_BYTES]
    suffix, found = path.suffix.lower(), format_of_bytes(head)
    if found == "HEIC":
        if has_heif():
            return ImageError(f"{path} is a HEIC image that cannot be read")
        return ImageError(f"{path} is a HEIC image", hint=HEIF_HINT)
    if suffix in RAW_SUFFIXES:
        kind = f"is a camera's raw file ({suffix})"
    elif suffix in VIDEO_SUFFIXES:
        kind = f"is a video ({suffix})"
    elif found in ("JPEG XL", "PSD"):
        kind = f"is a {found} image, which is not read"
    elif found == "TIFF":
        kind = "is a TIFF of a form that is not read, for example in colours of floating point"
    elif found:
        return ImageError(f"{path} is a {found} image that cannot be read")
    else:
        return ImageError(f"{path} is not an image that can be read")
    return ImageError(f"{path} {kind}", hint="convert it to PNG or JPEG")


def _is_heif(head: bytes) -> bool:
    return format_of_bytes(head) == "HEIC" and has_heif()


def _open_heif(stream: Any, name: Any) -> Any:
    """Opens a HEIC image with pillow-heif, which takes over from here on."""
    if b"avi" in stream.read(HEAD_BYTES):
        raise SyntaxError("an AVIF image")
    stream.seek(0, io.SEEK_SET)
    import pillow_heif

    pillow_heif.register_heif_opener()
    factory, _ = Image.OPEN["HEIF"]
    return factory(stream, name)


Image.register_open("HEIF", _open_heif, _is_heif)
