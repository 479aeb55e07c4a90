import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.errors import UsageError
from stargan_deploy.files.images import prepare_photo
from stargan_deploy.inference.framing import WholePhoto, fitted_size, side_by_side, side_of


def photo(width, height):
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


def test_a_crop_is_that_of_training():
    framed = WholePhoto(crop_size=20, size=16).frame(photo(40, 30))
    expected = np.asarray(prepare_photo(photo(40, 30), crop_size=20, size=16))
    assert np.array_equal(framed.tiles, expected[None])
    assert np.array_equal(np.asarray(framed.compose(framed.tiles)), expected)


@settings(max_examples=30, deadline=None)
@given(
    fit=st.sampled_from(["crop", "pad", "stretch"]),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
)
def test_any_shape_gives_a_square_and_comes_back(fit, width, height):
    framed = WholePhoto(fit=fit, crop_size=None, size=16).frame(photo(width, height))
    assert framed.tiles.shape == (1, 16, 16, 3)
    picture = framed.compose(framed.tiles)
    assert picture.size == ((16, 16) if fit == "crop" else fitted_size((width, height), 16))


def test_padding_repeats_the_border_and_is_cut_off():
    wide = Image.new("RGB", (32, 16), (10, 20, 30))
    framed = WholePhoto(fit="pad", crop_size=None, size=16).frame(wide)
    assert (framed.tiles == (10, 20, 30)).all()
    picture = np.asarray(framed.compose(np.arange(768).reshape(1, 16, 16, 3).astype(np.uint8)))
    assert np.array_equal(picture, np.arange(768).reshape(16, 16, 3).astype(np.uint8)[4:12])


def test_a_stretched_photo_keeps_all_of_itself():
    halves = Image.new("RGB", (64, 16), (255, 0, 0))
    halves.paste((0, 0, 255), (32, 0, 64, 16))
    framed = WholePhoto(fit="stretch", crop_size=None, size=16).frame(halves)
    picture = np.asarray(framed.compose(framed.tiles))
    assert picture.shape == (4, 16, 3)
    assert (picture[:, 0] == (255, 0, 0)).all()
    assert (picture[:, -1] == (0, 0, 255)).all()


@pytest.mark.parametrize(("shape", "fitted"), [((100, 50), (16, 8)), ((1, 900), (1, 16))])
def test_fitted_size(shape, fitted):
    assert fitted_size(shape, 16) == fitted


def test_side_by_side():
    strip = side_by_side([Image.new("RGB", (4, 6), "red"), Image.new("RGB", (8, 6), "blue")])
    assert strip.size == (12, 6)
    assert strip.getpixel((3, 0)) == (255, 0, 0)
    assert strip.getpixel((4, 0)) == (0, 0, 255)


@pytest.mark.parametrize("size", [0, -64])
def test_a_side_is_a_positive_number(size):
    with pytest.raises(UsageError, match="must be at least 1 or photo"):
        side_of(size)
    assert (side_of(64), side_of("photo"), side_of(None)) == (64, None, None)
