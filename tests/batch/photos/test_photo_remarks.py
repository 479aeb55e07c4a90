import pytest
from PIL import Image

from stargan_deploy.batch.photos.photo_remarks import flat_share, looks_like_photo
from stargan_deploy.data.layouts.synthetic import SyntheticFaces
from stargan_deploy.files.images import load_image


@pytest.mark.parametrize("size", [64, 128, 256])
def test_synthetic_faces_are_not_taken_for_photos(size):
    faces = SyntheticFaces(12, size=size, seed=7)
    assert not any(looks_like_photo(faces.load(index)) for index in range(12))


def test_rough_pictures_are(tmp_path):
    noise = Image.effect_noise((300, 200), 60).convert("RGB")
    assert looks_like_photo(noise)
    assert flat_share(Image.new("RGB", (10, 10))) == 1.0


@pytest.mark.realdata
def test_real_faces_are(real_data):
    paths = sorted((real_data / "celeba_hq_128/images").iterdir())[::120]
    assert all(looks_like_photo(load_image(path)) for path in paths)
