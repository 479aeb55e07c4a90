"""Metadata of photos: EXIF, colour profiles, and the mark of an AI's edit."""

from collections.abc import Set
from dataclasses import dataclass

from PIL import ExifTags, Image

from stargan_deploy.version import __version__

KEEPABLE = ("exif", "icc")
"""Metadata that a batch keeps on demand."""

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC's term for a photo that was edited with generative AI."""

MADE_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for an image that generative AI made without a photo."""

CREATOR = "stargan-deploy"


def _xmp(source_type: str) -> str:
    """An XMP packet with an image's origin (IPTC Photo Metadata Standard)."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' Iptc4xmpExt:DigitalSourceType="{source_type}"'
        f' xmp:CreatorTool="{CREATOR} {__version__}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


AI_EDITED_XMP = _xmp(DIGITAL_SOURCE_TYPE)
"""The packet of every translated image."""

AI_MADE_XMP = _xmp(MADE_SOURCE_TYPE)
"""The packet of every image from noise."""

MAX_EXIF_BYTES = 65_000
"""A JPEG's segment holds no more."""

_STALE_TAGS = (
    ExifTags.Base.Orientation,
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
)
_STALE_EXIF_TAGS = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
"""Tags that describe the photo's pixels and would be wrong for the translated ones."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Metadata that a translated image takes over from its photo."""

    exif: bytes | None = None
    """EXIF without orientation, size and thumbnail, which describe the photo alone."""
    icc_profile: bytes | None = None


def read_metadata(image: Image.Image, keep: Set[str]) -> Metadata:
    """The metadata to keep from an image that was just opened; none where it is damaged.

    Args:
        image: as `Image.open` gives it.
        keep: which of `KEEPABLE`.
    """
    exif = _exif(image) if "exif" in keep else None
    profile = image.info.get("icc_profile") if "icc" in keep and image.mode == "RGB" else None
    return Metadata(exif=exif, icc_profile=profile or None)


def _exif(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        own = exif.get_ifd(ExifTags.IFD.Exif)
        for tag in _STALE_TAGS:
            exif.pop(tag, None)
        for tag in _STALE_EXIF_TAGS:
            own.pop(tag, None)
        content = exif.tobytes() if len(exif) else b""
    except Exception:  # hostile bytes make it trip over whatever they like
        return None
    return content if 0 < len(content) <= MAX_EXIF_BYTES else None
