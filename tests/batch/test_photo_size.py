"""`size="photo"`: images of the photo's own size."""

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.batch.plan import ImageOptions
from stargan_deploy.errors import UsageError
from stargan_deploy.inference.framing import WholePhoto
from stargan_deploy.inference.model import Model
from tests.tiny_families import save_noise


def framed(size, fit="crop", **changes):
    settings = {"crop_size": None, "size": 16, "at_photo_size": True} | changes
    photo = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    )
    return photo, WholePhoto(fit=fit, **settings).frame(photo)


@pytest.mark.parametrize("size", [(40, 64), (64, 40), (50, 50), (9, 13)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("keeps_detail", [True, False])
def test_every_result_has_the_photo_s_size(size, fit, keeps_detail):
    photo, found = framed(size, fit, keeps_detail=keeps_detail)
    result = found.compose(255 - found.tiles)
    assert result.size == photo.size
    assert found.held_bytes == size[0] * size[1] * 3
    if keeps_detail:
        assert np.array_equal(found.compose(found.tiles), photo)


def test_what_lies_around_the_square_stays_without_a_seam():
    photo, found = framed((40, 80))
    result = np.asarray(found.compose(np.full_like(found.tiles, 255))).astype(int)
    own = np.asarray(photo).astype(int)
    assert np.array_equal(result[:20], own[:20])
    assert np.array_equal(result[60:], own[60:])
    assert (result[25:55] == 255).all()
    ramp = np.full((80, 40, 3), 100, np.uint8)
    even = WholePhoto(crop_size=None, size=16, at_photo_size=True).frame(Image.fromarray(ramp))
    column = np.asarray(even.compose(np.full_like(even.tiles, 200)))[:, 20, 0].astype(int)
    assert np.abs(np.diff(column)).max() < 60


def test_details_of_the_photo_stay_where_the_model_changes_a_face():
    photo, found = framed((160, 160), keeps_detail=True)
    brighter = np.minimum(found.tiles.astype(int) + 20, 255).astype(np.uint8)
    change = np.asarray(found.compose(brighter)).astype(int) - np.asarray(photo)
    assert np.median(change) == 20


def test_photos_are_written_at_their_own_size(command, tmp_path, checkpoint):
    save_noise(tmp_path / "photos" / "a.png", 90, 70)
    save_noise(tmp_path / "photos" / "b.png", 33, 47)
    words = ("batch", "photos", "--attrs", "Male", "--model", checkpoint)
    result = command(*words, "--backend", "eager", "--size", "photo", "--gallery", "--grid")
    assert result.code == 0, result.err
    assert "larger than" not in result.err
    for name, size in (("a", (90, 70)), ("b", (33, 47))):
        with Image.open(tmp_path / "translated" / f"{name}.png") as image:
            assert image.size == size
    assert command(*words, "--backend", "eager", "--size", "photo", "--resume").code == 0
    again = command(*words, "--backend", "eager", "--resume")
    assert "options.images: of the photo's size -> none" in again.err
    plain = command(*words, "--backend", "eager", "-o", "plain")
    assert "--size photo or --faces all keeps their size" in plain.err
    assert "takes a number of pixels, or photo" in command(*words, "--size", "huge").err
    with pytest.raises(UsageError, match="keeps the photo's size anyway"):
        ImageOptions(faces="all", size="photo")


def test_python_takes_it_too(exported):
    import stargan_deploy

    with stargan_deploy.load(exported.files[0]) as model:
        assert isinstance(model, Model)
        photo = Image.effect_noise((60, 44), 50).convert("RGB")
        assert model.translate(photo, "Male", size="photo").size == (60, 44)
        array = np.asarray(photo)
        assert model.translate(array, "Male", size="photo").shape == array.shape
