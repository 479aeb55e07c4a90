import subprocess
import sys

import numpy as np
import pytest

from stargan_deploy.backends.fake.runtime import FakeRuntime, fake_card
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]


def test_it_tints_by_the_label_and_always_the_same():
    with FakeRuntime(fake_card()) as runtime:
        first = runtime.run({"image": PIXELS, "label": LABELS})["translated"]
        again = runtime.run({"image": PIXELS, "label": LABELS})["translated"]
        other = runtime.run({"image": PIXELS, "label": LABELS[::-1].copy()})["translated"]
    assert first.dtype == np.uint8
    assert first.shape == PIXELS.shape
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_both_forms_of_image_give_the_same_picture():
    with FakeRuntime(fake_card(io="uint8")) as pixels, FakeRuntime(fake_card(io="float")) as floats:
        one = pixels.run({"image": PIXELS, "label": LABELS})["translated"]
        two = floats.run({"image": pixels_to_tensor(PIXELS), "label": LABELS})["translated"]
    assert two.dtype == np.float32
    assert np.abs(one.astype(int) - tensor_to_pixels(two)).max() <= 1


def test_it_classifies_by_the_mean_colour():
    red = np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    with FakeRuntime(fake_card()) as runtime:
        logits = runtime.run({"image": red}, entry_point="classify")["logits"]
    assert logits.tolist() == [[1.0, -1.0, -1.0]]


def test_it_checks_its_inputs_as_the_real_ones_do():
    with FakeRuntime(fake_card()) as runtime, pytest.raises(UsageError, match="label"):
        runtime.run({"image": PIXELS})
    with pytest.raises(UsageError, match="closed"):
        FakeRuntime(fake_card()).run({"image": PIXELS, "label": LABELS})


def test_it_splits_and_pads_to_its_batch_size():
    with FakeRuntime(fake_card(), batch_size=2) as small, FakeRuntime(fake_card()) as whole:
        inputs = {"image": PIXELS, "label": LABELS}
        parts, all_at_once = small.run(inputs)["translated"], whole.run(inputs)["translated"]
    assert np.array_equal(parts, all_at_once)


def test_it_needs_no_torch():
    code = "import sys, stargan_deploy.backends.fake.runtime; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
