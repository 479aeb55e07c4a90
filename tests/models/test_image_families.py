"""Layer shapes and numbers of parameters of pix2pix's and CycleGAN's original implementations."""

import pytest
import torch
from torch import nn

from stargan_deploy.errors import UsageError
from stargan_deploy.models import cyclegan, pix2pix
from stargan_deploy.models.patchgan import PatchDiscriminator


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv_sizes(network):
    """Parameters of each convolution on the way down."""
    return [down[-1 if isinstance(down[-1], nn.Conv2d) else -2].weight.numel() for down in network]


def test_the_unet_of_256_pixels():
    unet = pix2pix.UNet()
    assert count(unet) == 54_413_955
    expected = [3_072, 131_072, 524_288, 2_097_152, 4_194_304, 4_194_304, 4_194_304, 4_194_304]
    assert conv_sizes(unet.downs) == expected
    joined = [up[1].in_channels for up in unet.ups]
    assert joined == [128, 256, 512, 1024, 1024, 1024, 1024, 512]
    assert unet.mask_shapes(256, 256) == {
        "mask_6": (512, 4, 4),
        "mask_5": (512, 8, 8),
        "mask_4": (512, 16, 16),
    }


def test_the_unet_of_64_pixels():
    # 29.238 million on images of one channel, which have 6,146 fewer (the original's issue 1152).
    assert count(pix2pix.UNet(levels=6)) == 29_237_889 + 6_146


def test_the_paper_knows_pairs_of_70x70():
    network = pix2pix.build_networks({"image_size": 256, "generator_conv_dim": 1})
    discriminator = network["discriminator"]
    assert count(discriminator) == 2_768_705
    image = torch.zeros(1, 3, 256, 256)
    with torch.no_grad():
        assert discriminator(image, image).shape == (1, 1, 30, 30)


def test_a_score_looks_at_70x70_pixels():
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    patches = PatchDiscriminator(channels=3, conv_dim=4).eval()
    patches(image)[0, 0, 15, 15].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


@pytest.mark.parametrize(("blocks", "expected"), [(6, 7_837_699), (9, 11_378_179)])
def test_the_residual_generators(blocks, expected):
    assert count(cyclegan.Generator(num_blocks=blocks)) == expected


def test_cyclegans_discriminators():
    networks = cyclegan.build_networks({"generator_conv_dim": 1})
    assert set(networks) == {"a2b", "b2a", "discriminator_a", "discriminator_b"}
    assert count(networks["discriminator_a"]) == 2_764_737


def test_nothing_is_dropped_without_masks_and_half_with():
    torch.manual_seed(0)
    unet = pix2pix.UNet(levels=6, conv_dim=2).eval()
    image = torch.randn(2, 3, 64, 64)
    shapes = unet.mask_shapes(64, 64)
    assert shapes == {"mask_4": (16, 4, 4)}
    ones = [torch.ones(2, *shape) for shape in shapes.values()]
    assert torch.equal(unet(image), unet(image))
    halved = [0.5 * mask for mask in ones]
    assert torch.allclose(unet(image, *halved), unet(image), atol=1e-6)
    assert not torch.allclose(unet(image, *ones), unet(image), atol=1e-6)


def test_sizes_that_cannot_be_halved_so_often_are_refused():
    with pytest.raises(UsageError, match="multiples of 256 from 256 on, not 128x128"):
        pix2pix.build_networks({"image_size": 128})
    with pytest.raises(UsageError, match="multiples of 64 from 64 on, not 64x96"):
        pix2pix.UNet(levels=6, conv_dim=1)(torch.zeros(1, 3, 64, 96))
    with pytest.raises(UsageError, match="multiples of 4 from 8 on, not 4x8; the nearest is 8x8"):
        cyclegan.Generator(conv_dim=1)(torch.zeros(1, 3, 4, 8))


def test_instance_norm_uses_the_images_own_statistics():
    torch.manual_seed(0)
    generator = cyclegan.Generator(conv_dim=2, num_blocks=1)
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(generator.train()(image), generator.eval()(image))
    assert torch.allclose(generator(image)[:1], generator(image[:1]), atol=1e-6)
