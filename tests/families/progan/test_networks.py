"""Progressive GAN's networks: numbers of the original, stages, and how they are faded in."""

import math

import pytest
import torch

from stargan_deploy.errors import UsageError
from stargan_deploy.families.progan import networks as progan
from stargan_deploy.families.registry import load_family

TINY = {"image_size": 16, "latent_width": 8, "base_features": 64, "max_features": 8}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def networks(**changes):
    torch.manual_seed(0)
    return progan.build_networks(TINY | changes)


def layer_counts(network):
    """Parameters of each layer that has some, in their order."""
    kinds = progan.EqualisedConv2d | progan.EqualisedLinear | progan.FirstFeatures
    return [count(layer) for layer in network.modules() if isinstance(layer, kinds)]


def networks_of_1024_pixels():
    with torch.device("meta"):
        return progan.build_networks({"image_size": 1024})


def test_the_networks_of_1024_pixels():
    """23.1 million each, in the paper's table 2; to the unit, what `print_layers` of
    tkarras/progressive_growing_of_gans prints of a `Gs` and a `D` (in published outputs: of a
    network trained with it; of NVlabs/stylegan, whose discriminator has the same layers)."""
    built = networks_of_1024_pixels()
    assert count(built["generator"]) == 23_079_115
    assert count(built["discriminator"]) == 23_087_249


def test_the_generators_layers():
    """The paper's table 2: 4.2M and 2.4M at 4x4; 2.4M; 1.2M and 590k; 295k and 148k; 74k and 37k;
    18k and 9.2k; 4.6k and 2.3k; 51. To the unit, in the printed `Gs`, from 512x512 on."""
    generator = networks_of_1024_pixels()["generator"]
    wide = 512 * 512 * 9 + 512
    assert count(generator.first[1]) == 512 * 8192 + 512
    assert [count(block) for block in generator.blocks[:3]] == [2 * wide] * 3
    pairs = [[count(block[1]), count(block[4])] for block in generator.blocks[3:]]
    assert pairs == [
        [1_179_904, 590_080],
        [295_040, 147_584],
        [73_792, 36_928],
        [18_464, 9_248],
        [4_624, 2_320],
    ]
    to_rgb = [count(layer) for layer in generator.to_rgb]
    assert to_rgb == [1_539, 1_539, 1_539, 1_539, 771, 387, 195, 99, 51]


def test_the_discriminators_layers():
    """The printed `D`, from 4x4 to 1024x1024: FromRGB, Conv0 and Conv1_down; MinibatchStddev with
    (513, 4, 4), Conv, Dense0 and Dense1."""
    discriminator = networks_of_1024_pixels()["discriminator"]
    from_rgb = [count(layer) for layer in discriminator.from_rgb]
    assert from_rgb == [2_048, 2_048, 2_048, 2_048, 1_024, 512, 256, 128, 64]
    pairs = [layer_counts(block) for block in discriminator.blocks]
    assert pairs == [
        [2_359_808, 2_359_808],
        [2_359_808, 2_359_808],
        [2_359_808, 2_359_808],
        [590_080, 1_180_160],
        [147_584, 295_168],
        [36_928, 73_856],
        [9_248, 18_496],
        [2_320, 4_640],
    ]
    assert layer_counts(discriminator.last) == [2_364_416, 4_194_816, 513]
    assert isinstance(discriminator.last[0], progan.MinibatchStddev)


def test_features_by_stage_are_the_papers():
    """Table 2; `nf` of networks.py with fmap_base 8192 and fmap_max 512."""
    config = progan.ProGANNetwork(image_size=1024)
    features = [config.features(stage) for stage in range(config.last_stage + 1)]
    assert features == [512, 512, 512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_each_stage_has_its_size(stage):
    built = networks(stage=stage)
    side = 4 << stage
    picture = built["generator"](torch.randn(4, 8))
    assert picture.shape == (4, 3, side, side)
    assert built["discriminator"](picture).shape == (4, 1)


def test_a_stage_starts_as_the_one_before_doubled():
    before, new = networks(stage=1), networks(stage=2, alpha=0.0)
    latent = torch.randn(4, 8)
    picture = before["generator"](latent)
    assert torch.allclose(new["generator"](latent), progan.doubled(picture), atol=1e-6)
    scores = before["discriminator"](picture)
    assert torch.allclose(new["discriminator"](progan.doubled(picture)), scores, atol=1e-5)


def test_half_way_both_count_half():
    old, half, new = (networks(stage=2, alpha=alpha)["generator"] for alpha in (0.0, 0.5, 1.0))
    latent = torch.randn(2, 8)
    assert torch.allclose(half(latent), (old(latent) + new(latent)) / 2, atol=1e-6)


def test_growing_changes_what_built_networks_do():
    generator = networks(stage=0)["generator"]
    generator.grow(2, 0.5)
    latent = torch.randn(2, 8)
    assert torch.equal(generator(latent), networks(stage=2, alpha=0.5)["generator"](latent))


def test_weights_are_drawn_even_and_scaled_by_hes_constant():
    torch.manual_seed(0)
    layer = progan.EqualisedConv2d(64, 64, 3, padding=1)
    assert float(layer.weight.detach().std()) == pytest.approx(1.0, rel=0.02)
    assert layer.scale == pytest.approx(math.sqrt(2 / (64 * 9)))
    out = layer(torch.randn(4, 64, 16, 16))[:, :, 1:-1, 1:-1]
    assert float(out.detach().std()) == pytest.approx(math.sqrt(2), rel=0.05)


def test_gains_are_hes_before_leaky_relu_and_one_before_nothing():
    """tkarras/progressive_growing_of_gans, networks.py: gain sqrt(2) by default, so also in
    FromRGB; 1 in ToRGB and in the last dense layer; sqrt(2) / 4 in the generator's first."""
    built = networks()
    generator, discriminator = built["generator"], built["discriminator"]
    assert generator.first[1].linear.scale == pytest.approx(math.sqrt(2) / 4 / math.sqrt(8))
    assert [layer.scale for layer in generator.to_rgb] == pytest.approx([1 / math.sqrt(8)] * 3)
    from_rgb = [layer[0].scale for layer in discriminator.from_rgb]
    assert from_rgb == pytest.approx([math.sqrt(2 / 3)] * 3)
    conv, dense_0, dense_1 = (discriminator.last[place] for place in (1, 3, 6))
    assert conv.scale == pytest.approx(math.sqrt(2 / (9 * 9)))
    assert dense_0.scale == pytest.approx(math.sqrt(2 / (8 * 16)))
    assert dense_1.scale == pytest.approx(1 / math.sqrt(8))


def test_pixel_norm_makes_the_mean_square_one():
    normed = progan.PixelNorm()(torch.randn(2, 8, 4, 4) * 7)
    assert torch.allclose(normed.square().mean(dim=1), torch.ones(2, 4, 4), atol=1e-5)


def test_the_spread_of_a_group_is_one_more_plane():
    x = torch.randn(8, 3, 4, 4)
    plane = progan.MinibatchStddev()(x)[:, 3]
    groups = x.reshape(4, 2, 3, 4, 4)
    expected = groups.std(dim=0, correction=0).mean(dim=(1, 2, 3))
    assert torch.allclose(plane[:, 0, 0], expected.repeat(4), atol=1e-5)
    same = progan.MinibatchStddev()(x[:1].expand(3, -1, -1, -1))[:, 3]
    assert float(same.max()) == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("size", [0, 2, 12, 100])
def test_sizes_that_do_not_come_of_doubling_are_refused(size):
    with pytest.raises(UsageError, match=f"powers of two, not {size}x{size}"):
        networks(image_size=size)


def test_a_model_that_still_grows_says_so():
    assert load_family("progan").notes(TINY) == ()
    (note,) = load_family("progan").notes(TINY | {"stage": 1, "alpha": 0.5})
    assert note == "still growing: at 8x8 of 16x16, faded in by 50%"
