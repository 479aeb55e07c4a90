import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.card.pixels import pixels_to_tensor, tensor_to_pixels
from stargan_deploy.card.tensors import Dim
from stargan_deploy.families.checkpoint import read_card


class Remember(nn.Module):
    """Keeps what it was given and answers with what it was told to."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        self.image, self.label = image, label
        return self.answer


@pytest.fixture
def point(checkpoint):
    return read_card(checkpoint).entry_points["translate"]


def test_pixels_become_what_the_network_sees(point):
    pixels = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    network = Remember(torch.zeros(4, 3, 8, 8))
    label = torch.ones(4, 5)
    PixelModule(network, point, "uint8")(torch.from_numpy(pixels), label)
    np.testing.assert_array_equal(network.image.numpy(), pixels_to_tensor(pixels))
    assert network.label is label


@settings(deadline=None)
@given(
    st.lists(
        st.floats(-3, 3, width=32) | st.integers(-2, 512).map(lambda n: n / 255 - 1),
        min_size=12,
        max_size=12,
    )
)
def test_pictures_are_rounded_and_clamped_as_everywhere(checkpoint, values):
    point = read_card(checkpoint).entry_points["translate"]
    answer = torch.tensor(values, dtype=torch.float32).reshape(1, 3, 2, 2)
    module = PixelModule(Remember(answer), point, "uint8")
    (pixels,) = module(torch.zeros(1, 2, 2, 3, dtype=torch.uint8), torch.zeros(1, 5))
    np.testing.assert_array_equal(pixels.numpy(), tensor_to_pixels(answer.numpy()))


def test_float_images_pass_untouched(point):
    network = Remember(torch.rand(1, 3, 4, 4))
    image = torch.rand(1, 3, 4, 4)
    (picture,) = PixelModule(network, point, "float")(image, torch.zeros(1, 5))
    assert network.image is image
    assert picture is network.answer


def test_the_card_says_pixels_where_images_were(point):
    pixels = point.with_io("uint8")
    image, label = pixels.inputs
    assert (image.dtype, image.layout, image.value_range) == ("uint8", "NHWC", (0.0, 255.0))
    assert image.shape[3] == 3
    assert image.shape[1] == Dim(symbol="height", min=4, multiple=4)
    assert pixels.outputs[0].shape == image.shape
    assert label == point.inputs[1]
    assert point.with_io("float") == point
