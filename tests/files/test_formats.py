import io

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.errors import ImageError
from stargan_deploy.files import formats
from stargan_deploy.files.images import load_image

HEIC_HEAD = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
FLOATS = (
    b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # a TIFF without any tag that Pillow knows
)


def test_every_ending_is_one_of_pillow_s():
    Image.init()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    assert known | {".mpo", ".ppm"} >= formats.IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", ["jpe", "jp2", "j2k", "tga", "pnm", "pbm", "qoi", "dib", "pfm"])
def test_formats_that_pillow_writes_are_read_back(tmp_path, suffix):
    image = Image.new("F" if suffix == "pfm" else "RGB", (8, 6))
    image.save(tmp_path / f"a.{suffix}")
    assert load_image(tmp_path / f"a.{suffix}").size == (8, 6)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.heic", HEIC_HEAD, "is a HEIC image; install pillow-heif: pip install"),
        ("a.jpg", HEIC_HEAD, "is a HEIC image; install pillow-heif: pip install"),
        ("a.cr3", b"\0" * 40, r"is a camera's raw file \(\.cr3\); convert it"),
        ("a.mp4", b"\0" * 40, r"is a video \(\.mp4\)"),
        ("a.jxl", b"\xff\x0a" + b"\0" * 40, "is a JPEG XL image"),
        ("a.tif", FLOATS, "is a TIFF of a form that is not read"),
        ("a.png", b"text", "is not an image that can be read"),
    ],
)
def test_what_a_file_is_that_cannot_be_read(tmp_path, monkeypatch, name, content, complaint):
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=complaint):
        load_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_is_read_with_pillow_heif(tmp_path, name):
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.full((32, 48, 3), (200, 90, 40), np.uint8)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=95)
    (tmp_path / name).write_bytes(buffer.getvalue())
    assert np.abs(np.asarray(load_image(tmp_path / name)).astype(int) - pixels).max() < 6


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "JPEG2000", "AVIF"])
def test_first_bytes_show_the_format(tmp_path, file_format):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo", file_format)
    found = formats.format_of_bytes(formats.head_of(tmp_path / "photo"))
    assert found.replace(" ", "").upper() == file_format
    assert load_image(tmp_path / "photo").size == (8, 8)
