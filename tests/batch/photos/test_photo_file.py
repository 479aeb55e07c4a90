import hashlib
import os

import pytest
from PIL import Image

from stargan_deploy.batch.photos import photo_file
from stargan_deploy.batch.photos.photo_file import decode_photo, read_photo
from stargan_deploy.errors import ImageError


def test_content_and_hash(tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "a.png")
    file = read_photo(tmp_path / "a.png")
    assert file.sha256 == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert decode_photo(file)[0].size == (5, 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_photo(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.jpg").symlink_to("pipe")
    with pytest.raises(ImageError, match="not a regular file"):
        read_photo(tmp_path / "a.jpg")


def test_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_file, "MAX_FILE_BYTES", 10)
    (tmp_path / "a.jpg").write_bytes(bytes(11))
    with pytest.raises(ImageError, match="11 bytes; a photo has at most 10"):
        read_photo(tmp_path / "a.jpg")


def test_a_bomb_is_refused(tmp_path):
    """A picture of 20,000 x 20,000 pixels in a few bytes."""
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png", compress_level=9)
    with pytest.raises(ImageError, match="too large"):
        decode_photo(read_photo(tmp_path / "bomb.png"))


def test_a_mislabelled_file_is_read_by_its_content(tmp_path):
    Image.new("RGB", (7, 7)).save(tmp_path / "a.png")
    (tmp_path / "a.png").replace(tmp_path / "a.jpg")
    assert decode_photo(read_photo(tmp_path / "a.jpg"))[0].size == (7, 7)
