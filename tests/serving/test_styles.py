"""A service of a model with styles takes seeds, and the domains of requests share its batches."""

import io

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.inference.choose import RuntimeRequest
from tests.tiny_families import save_noise


@pytest.fixture
def running(start, styled):
    return start(models=(styled["plain"],), runtime=RuntimeRequest(backend="eager"))


@pytest.fixture
def photo(tmp_path):
    save_noise(tmp_path / "photo.png", 70, 70)
    return (tmp_path / "photo.png").read_bytes()


def pixels(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_seeds_give_styles(running, photo):
    def ask(query):
        return running.client.post(f"/v1/translate?{query}", content=photo)

    first, again, other = (pixels(ask(f"attrs=dog&seed={seed}")) for seed in (1, 1, 2))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert pixels(ask("attrs=dog&seed=1&interpolate=3")).shape == (64, 256, 3)
    refused = ask("attrs=dog&styles=1001")
    assert (refused.status_code, "styles" in refused.text) == (400, True)


def test_other_models_have_no_styles(served, photo):
    refused = served.client.post("/v1/translate?attrs=Young&seed=1", content=photo)
    assert (refused.status_code, "no styles" in refused.text) == (400, True)
