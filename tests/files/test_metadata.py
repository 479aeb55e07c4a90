import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from stargan_deploy.batch.photos.photo_file import PhotoFile, decode_photo, encode_translated
from stargan_deploy.files.metadata import DIGITAL_SOURCE_TYPE, read_metadata

BOTH = frozenset({"exif", "icc"})


def file_of(path, image, **options):
    image.save(path, **options)
    return PhotoFile(path=path, content=path.read_bytes(), sha256="")


def exif_of_a_camera():
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExifImageWidth] = 4000
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    return exif


def swapped_profile():
    """sRGB's profile with red and green exchanged: a wide change that is easy to see."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return (
        bytes(profile)
        .replace(b"sRGB", b"odd!")
        .replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_picture_says_that_an_ai_edited_it(tmp_path, suffix):
    file = file_of(tmp_path / "a.jpg", Image.new("RGB", (20, 30)))
    image, metadata = decode_photo(file)
    (tmp_path / "out").write_bytes(encode_translated(image, tmp_path / f"b{suffix}", metadata))
    with Image.open(tmp_path / "out") as written:
        written.load()
        xmp = written.info.get("xmp") or written.info["XML:com.adobe.xmp"].encode()
        assert DIGITAL_SOURCE_TYPE.encode() in xmp
        assert not written.getexif()
        assert "icc_profile" not in written.info


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_is_kept_on_demand_without_what_is_wrong_of_the_picture(tmp_path, suffix):
    file = file_of(tmp_path / "a.jpg", Image.new("RGB", (20, 30)), exif=exif_of_a_camera())
    image, metadata = decode_photo(file, BOTH)
    assert image.size == (30, 20)
    picture = Image.open(io.BytesIO(encode_translated(image, tmp_path / f"b{suffix}", metadata)))
    exif = picture.getexif()
    assert exif[ExifTags.Base.Make] == "Camera"
    assert ExifTags.Base.Orientation not in exif
    own = exif.get_ifd(ExifTags.IFD.Exif)
    assert own[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
    assert ExifTags.Base.ExifImageWidth not in own


def test_a_profile_is_kept_or_the_colours_are_converted(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 30, 30))
    file = file_of(tmp_path / "a.png", red, icc_profile=swapped_profile())
    kept, metadata = decode_photo(file, BOTH)
    assert metadata.icc_profile == swapped_profile()
    assert np.array_equal(np.asarray(kept), np.asarray(red))
    converted, metadata = decode_photo(file)
    assert metadata.icc_profile is None
    pixel = np.asarray(converted)[0, 0].astype(int)
    assert pixel[1] > pixel[0]


def test_a_damaged_profile_is_none(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 30, 30))
    file = file_of(tmp_path / "a.png", red, icc_profile=b"no profile")
    assert np.array_equal(np.asarray(decode_photo(file)[0]), np.asarray(red))


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_hostile_exif_is_dropped_or_kept(content):
    image = Image.new("RGB", (4, 4))
    image.info["exif"] = b"Exif\0\0" + content
    metadata = read_metadata(image, BOTH)
    assert metadata.exif is None or len(metadata.exif) < 65_536
