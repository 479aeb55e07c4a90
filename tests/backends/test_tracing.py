import pytest
import torch
from torch import nn

from stargan_deploy.backends.pixel_graph import PixelModule
from stargan_deploy.backends.tracing import dynamic_shapes, example_inputs
from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.tensors import Dim, TensorSpec


def image_point(batch, side, dtype="float32"):
    spec = TensorSpec(
        name="image", kind="image", dtype=dtype, layout="NCHW", shape=(batch, 3, side, side)
    )
    return EntryPoint(file="", payload_sha256="", inputs=(spec,), outputs=(spec,))


def trace(point):
    module = PixelModule(nn.Conv2d(3, 3, 3, padding=1), point, "float").eval()
    return torch.export.export(
        module, example_inputs(point), dynamic_shapes=dynamic_shapes(point)
    ).module()


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        (Dim(symbol="batch"), (1, 2, 40)),
        (Dim(symbol="batch", max=2), (1, 2)),
        (Dim(symbol="batch", max=1), (1,)),
        (4, (4,)),
    ],
)
def test_every_batch_that_the_card_allows_runs(batch, sizes):
    module = trace(image_point(batch, Dim(symbol="side", min=4, multiple=4)))
    for size in sizes:
        for side in (4, 24, 100):
            shape = (size, 3, side, side)
            assert module(torch.zeros(shape))[0].shape == shape


def test_a_limited_side_is_kept_to():
    point = image_point(2, Dim(symbol="side", min=4, multiple=4, max=12))
    (image,) = example_inputs(point)
    assert image.shape == (2, 3, 12, 12)
    with pytest.raises((AssertionError, RuntimeError), match="12"):
        trace(point)(torch.zeros(2, 3, 16, 16))


def test_two_steps_are_traced_as_three():
    """Torch takes one step for a number, so that of two it would see but one size, and refuse."""
    point = image_point(2, Dim(symbol="side", min=64, multiple=64, max=128))
    (image,) = example_inputs(point)
    assert image.shape == (2, 3, 192, 192)
    module = trace(point)
    for side in (64, 128):
        assert module(torch.zeros(2, 3, side, side))[0].shape[-1] == side


def test_examples_have_the_types_of_the_card():
    (image,) = example_inputs(image_point(1, 8, dtype="uint8"))
    assert image.dtype == torch.uint8
