import numpy as np
import pytest
import torch

from stargan_deploy.card.pixels import tensor_to_pixels
from stargan_deploy.evaluation.meters.pixels import ssim
from stargan_deploy.families.distillation.base import Layer
from stargan_deploy.families.distillation.taps import Taps, collected
from stargan_deploy.families.distillation.terms import (
    Adapters,
    feature_distance,
    structural_similarity,
)


@pytest.fixture
def images():
    random = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, 24, 20, generator=random, dtype=torch.float64) * 2 - 1
    return first, (first + 0.3 * torch.randn(first.shape, generator=random)).clamp(-1, 1).double()


def test_equal_images_are_similar(images):
    assert structural_similarity(images[0], images[0]).item() == pytest.approx(1, abs=1e-9)
    assert 0 < structural_similarity(*images).item() < 0.99


def test_similarity_is_that_of_the_evaluation(images):
    """Grey images, whose luminance is each of their channels."""
    grey = [image[:, :1].expand(-1, 3, -1, -1).float() for image in images]
    square = [image[..., :20, :20] for image in grey]
    pixels = [np.stack([tensor_to_pixels(i.numpy()[None])[0] for i in image]) for image in square]
    rounded = [torch.from_numpy(p).permute(0, 3, 1, 2).double() / 127.5 - 1 for p in pixels]
    found = structural_similarity(*rounded).item()
    assert found == pytest.approx(float(ssim(*pixels).mean()), abs=1e-4)


def test_images_smaller_than_a_window(images):
    small = [image[..., :5, :7] for image in images]
    assert structural_similarity(*small).isfinite()


def test_similarity_has_gradients(images):
    x = images[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: structural_similarity(a, images[1][:1, :1, :6, :6]),
        x[:1, :1, :6, :6].detach().requires_grad_(),
    )


def test_distances_are_relative_to_the_teacher():
    theirs = [torch.randn(2, 3, 4, 4), 100 * torch.randn(2, 5, 2, 2)]
    assert feature_distance("map", [0 * x for x in theirs], theirs).item() == pytest.approx(1, 1e-4)
    for name in ("map", "channel", "spatial"):
        assert feature_distance(name, theirs, theirs).item() == 0


def test_channel_means_are_blind_to_places():
    theirs = [torch.randn(2, 3, 4, 4)]
    turned = [theirs[0].flip(3)]
    assert feature_distance("channel", turned, theirs).item() == pytest.approx(0, abs=1e-9)
    assert feature_distance("spatial", turned, theirs).item() > 0.1


def test_adapters_fit_channels():
    own, theirs = ([Layer(name="0", channels=c), Layer(name="1", channels=2 * c)] for c in (2, 6))
    adapted = Adapters(own, theirs)([torch.ones(1, 2, 3, 3), torch.ones(1, 4, 2, 2)])
    assert [x.shape[1] for x in adapted] == [6, 12]


def test_taps_read_only_where_asked():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(inplace=True))
    taps = Taps(network, [Layer(name="1", channels=3), Layer(name="1", channels=3)])
    network(torch.ones(1, 2))
    assert taps.found is None
    with collected([taps]) as features:
        result = network(torch.ones(1, 2))
    assert len(features) == 2
    assert all(torch.equal(each, result) for each in features)
    assert taps.found is None
