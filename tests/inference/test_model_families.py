import numpy as np
import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.errors import UsageError
from tests.tiny_families import lively_model

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8))


def test_a_model_without_labels_needs_no_target(tmp_path):
    with stargan_deploy.load(lively_model("pix2pix", tmp_path), backend="eager") as model:
        assert model.translate(PHOTO).size == (64, 64)
        with pytest.raises(UsageError, match="unknown direction 'Blond_Hair'"):
            model.translate(PHOTO, "Blond_Hair")


def test_both_directions_share_one_engine(tmp_path):
    with stargan_deploy.load(lively_model("cyclegan", tmp_path), backend="eager") as model:
        there, back = (np.asarray(model.translate(PHOTO, way)) for way in ("a2b", "b2a"))
        assert not np.array_equal(there, back)
        with pytest.raises(UsageError, match="choose with `direction`"):
            model.translate(PHOTO)
