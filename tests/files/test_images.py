import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.errors import ImageError
from stargan_deploy.files.colours import NARROW
from stargan_deploy.files.images import (
    centre_crop_resize,
    half_of_pair,
    load_image,
    save_image,
    to_rgb,
)
from tests.files.test_metadata import swapped_profile

RED = (200, 30, 40)


def test_every_level_survives_the_way_to_the_model_and_back():
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    tensor = pixels_to_tensor(pixels)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.min() == -1.0
    assert tensor.max() == 1.0
    assert np.array_equal(tensor_to_pixels(tensor), pixels)


def test_values_outside_the_range_are_clamped():
    assert tensor_to_pixels(np.full((1, 3, 1, 1), 5.0)).tolist() == [[[[255] * 3]]]
    assert tensor_to_pixels(np.full((1, 3, 1, 1), -5.0)).tolist() == [[[[0] * 3]]]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (20, 10), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (10, 20)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb(mode):
    source = Image.new("RGB", (4, 4), RED)
    image = source.convert("LA").convert("PA") if mode == "PA" else source.convert(mode)
    pixels = np.asarray(to_rgb(image))
    assert pixels.shape == (4, 4, 3)
    assert pixels.dtype == np.uint8


def test_transparency_is_laid_over_white():
    assert np.asarray(to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0)))).tolist() == [[[255] * 3]]


@pytest.mark.parametrize(("value", "level"), [(0, 0), (100, 0), (257, 1), (65535, 255)])
def test_16_bit_grey_is_scaled(tmp_path, value, level):
    Image.fromarray(np.full((2, 2), value, np.uint16)).save(tmp_path / "grey.png")
    assert np.asarray(load_image(tmp_path / "grey.png"))[0, 0].tolist() == [level] * 3


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(load_image(tmp_path / "a.gif"))[0, 0].tolist() == list(RED)


def test_broken_files_are_named(tmp_path):
    good = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(good, "JPEG")
    for name, content in {
        "empty.jpg": b"",
        "text.jpg": b"hello",
        "cut.jpg": good.getvalue()[: len(good.getvalue()) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=name):
            load_image(tmp_path / name)
    with pytest.raises(ImageError, match="no such image"):
        load_image(tmp_path / "none.jpg")


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(ImageError, match="too large"):
        load_image(tmp_path / "bomb.png")


def test_crop_and_resize_take_the_centre():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:40] = 255
    image = Image.fromarray(pixels)
    assert np.asarray(centre_crop_resize(image, crop_size=20, size=8)).min() == 255
    assert centre_crop_resize(image, crop_size=None, size=8).size == (8, 8)
    assert centre_crop_resize(image, crop_size=500, size=8).size == (8, 8)


def test_the_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(centre_crop_resize(Image.fromarray(stripes), crop_size=None, size=8))
    assert np.abs(small.astype(int) - 127).max() < 20


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".JPEG"])
def test_saved_images_keep_their_format(tmp_path, suffix):
    save_image(Image.new("RGB", (8, 8), RED), tmp_path / f"x{suffix}")
    with Image.open(tmp_path / f"x{suffix}") as image:
        assert image.format in ("JPEG", "PNG", "WEBP")
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - RED).max() < 6


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutated_images_are_read_or_refused(tmp_path_factory, data):
    file_format = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), RED).save(buffer, file_format)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("mutated") / "x.img"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        image = load_image(path)
    except ImageError as error:
        assert str(path) in str(error)
    else:
        assert image.mode == "RGB"


RAMP = np.linspace(0, 1, 4096).reshape(64, 64)


def top(path, value_range=None):
    return int(np.asarray(load_image(path, value_range)).max())


def save_floats(path, scale):
    Image.fromarray((RAMP * scale).astype(np.float32)).save(path)
    return path


def test_floats_have_one_scale_and_what_is_beyond_it_is_refused(tmp_path):
    tops = [top(save_floats(tmp_path / "a.tif", scale)) for scale in (0.25, 0.5, 0.99, 1)]
    assert tops == [64, 128, 252, 255]
    for scale in (1.02, 254, -1, np.nan):
        with pytest.raises(ImageError, match=r"a\.tif: values"):
            top(save_floats(tmp_path / "a.tif", scale))
    tops = [top(save_floats(tmp_path / "a.tif", s), (0, 256)) for s in (1, 128, 254, 256, 300)]
    assert tops == [1, 128, 253, 255, 255]


def test_a_range_is_a_window(tmp_path):
    units = np.linspace(-1000, 400, 4096).reshape(64, 64).astype(np.float32)
    Image.fromarray(units).save(tmp_path / "ct.tif")
    with pytest.raises(ImageError, match="values from -1000 to 400 are beyond 0 to 1; set"):
        load_image(tmp_path / "ct.tif")
    levels = np.asarray(load_image(tmp_path / "ct.tif", (-160, 240)))[..., 0]
    assert (levels[units <= -160].max(), levels[units >= 240].min()) == (0, 255)
    assert np.abs(levels[32, 50] - (units[32, 50] + 160) / 400 * 255).max() <= 255


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint16, (0, 4095), (0, 16)),
        (np.uint16, (0, 65535), (0, 255)),
        (np.int32, (-(2**31), 2**31 - 1), (0, 255)),
        (np.int32, (0, 2**31 - 1), (128, 255)),
    ],
)
def test_the_full_range_of_the_type_is_the_scale(tmp_path, dtype, values, expected):
    Image.fromarray(np.array([values] * 2).astype(dtype)).save(tmp_path / "a.tif")
    pixels = np.asarray(load_image(tmp_path / "a.tif"))
    assert (pixels.min(), pixels.max()) == expected


def test_deep_images_that_use_little_of_the_range_are_marked(tmp_path):
    for name, peak in (("12bit", 4095), ("16bit", 65535)):
        Image.fromarray((RAMP * peak).astype(np.uint16)).save(tmp_path / f"{name}.png")
    assert NARROW in load_image(tmp_path / "12bit.png").info
    assert NARROW not in load_image(tmp_path / "16bit.png").info
    assert NARROW not in load_image(tmp_path / "12bit.png", (0, 4095)).info
    Image.new("L", (8, 8), 3).save(tmp_path / "dark.png")
    assert NARROW not in load_image(tmp_path / "dark.png").info


def profile(name):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped(image):
    """What a profile whose red is blue makes of an image."""
    return image[..., 1].astype(int) > image[..., 0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_colour_profiles_are_applied_in_every_mode_of_rgb(tmp_path, mode):
    red = Image.new("RGB", (8, 8), (200, 30, 30)).convert(mode)
    red.save(tmp_path / "a.png", icc_profile=swapped_profile())
    plain = np.asarray(to_rgb(red))
    found = np.asarray(load_image(tmp_path / "a.png"))
    assert swapped(found).all() == (mode != "L")
    assert load_image(tmp_path / "a.png").info == {}
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(to_rgb(image)), found)
        assert np.array_equal(np.asarray(to_rgb(image, keep_profile=True)), plain)
    assert np.array_equal(np.asarray(load_image(tmp_path / "a.png")), found)


def test_transparency_survives_a_profile(tmp_path):
    clear = Image.new("RGBA", (8, 8), (200, 30, 30, 0))
    clear.save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert np.asarray(load_image(tmp_path / "a.png")).min() == 255


def test_lab_is_converted(tmp_path):
    grey = Image.new("RGB", (8, 8), (120, 120, 120))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(grey, srgb, lab, outputMode="LAB")
    image.info.pop("icc_profile", None)
    image.save(tmp_path / "a.tif")
    assert np.abs(np.asarray(load_image(tmp_path / "a.tif")).astype(int) - 120).max() <= 3


@pytest.mark.parametrize("content", [b"", b"no profile", b"\0" * 200])
def test_damaged_profiles_and_those_of_other_colours_are_ignored(tmp_path, content):
    red = Image.new("RGB", (8, 8), (200, 30, 30))
    red.save(tmp_path / "a.png", icc_profile=content or profile("LAB"))
    assert np.array_equal(np.asarray(load_image(tmp_path / "a.png")), np.asarray(red))


def test_halves_of_pairs():
    pair = Image.fromarray(
        np.repeat(np.arange(20, dtype=np.uint8)[None, :, None], 10, 0).repeat(3, 2)
    )
    assert np.asarray(half_of_pair(pair, "left"))[0, 0, 0] == 0
    assert np.asarray(half_of_pair(pair, "right"))[0, 0, 0] == 10
    assert half_of_pair(pair, None) is pair
    single = pair.resize((10, 10))
    assert half_of_pair(single, "left") is single
