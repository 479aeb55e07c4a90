"""Layer shapes and numbers of parameters of pix2pix's and CycleGAN's original implementations.

"The PyTorch version" is junyanz/pytorch-CycleGAN-and-pix2pix, by the authors of both; it prints its
networks' sizes in millions, which its users quote in the issues that the tests name.
"""

import pytest
import torch
from torch import nn

from stargan_deploy.errors import UsageError
from stargan_deploy.families.blocks.patchgan import PatchDiscriminator, check_patches
from stargan_deploy.families.cyclegan import networks as cyclegan
from stargan_deploy.families.pix2pix import networks as pix2pix


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv_sizes(network):
    """Parameters of each convolution on the way down."""
    return [down[-1 if isinstance(down[-1], nn.Conv2d) else -2].weight.numel() for down in network]


def millions(number):
    """As the PyTorch version prints sizes."""
    return f"{number / 1e6:.3f} M"


def of_one_channel(num_parameters, *, conv_dim=64):
    """A U-Net's size with grey images, whose outermost layers have fewer weights and biases."""
    return num_parameters - 2 * 16 * conv_dim - 2 * (16 * 2 * conv_dim + 1)


def test_the_unet_of_256_pixels():
    """Weights by layer as torchsummary prints them: the PyTorch version's issue 1614."""
    unet = pix2pix.UNet()
    assert count(unet) == 54_413_955
    assert millions(count(unet)) == "54.414 M"
    expected = [3_072, 131_072, 524_288, 2_097_152, 4_194_304, 4_194_304, 4_194_304, 4_194_304]
    assert conv_sizes(unet.downs) == expected
    joined = [up[1].in_channels for up in unet.ups]
    assert joined == [128, 256, 512, 1024, 1024, 1024, 1024, 512]
    assert unet.mask_shapes(256, 256) == {
        "mask_6": (512, 4, 4),
        "mask_5": (512, 8, 8),
        "mask_4": (512, 16, 16),
    }


def test_features_drop_where_the_pytorch_version_drops_them():
    """models/networks.py, UnetGenerator: `num_downs` - 5 blocks with dropout, around the innermost
    and inside of the last four."""
    for levels, num_dropping in ((8, 3), (7, 2), (6, 1), (5, 0)):
        dropping = list(pix2pix.UNet(levels=levels, conv_dim=1).dropping)
        assert dropping == list(range(4, levels - 1))
        assert len(dropping) == num_dropping == levels - 5


def test_sizes_that_a_user_of_the_pytorch_version_saw():
    """Issue 1152, on grey images: 54.408 M and 2.765 M at 256x256; 29.238 M and 0.662 M at 64x64,
    with six levels and a discriminator of two halvings (`--n_layers_D 2`)."""
    with torch.device("meta"):
        large, small = pix2pix.UNet(), pix2pix.UNet(levels=6)
        judges = [PatchDiscriminator(channels=2, num_halvings=number) for number in (3, 2)]
    assert millions(of_one_channel(count(large))) == "54.408 M"
    assert millions(of_one_channel(count(small))) == "29.238 M"
    assert [millions(count(judge)) for judge in judges] == ["2.765 M", "0.662 M"]


def test_the_paper_knows_pairs_of_70x70():
    network = pix2pix.build_networks({"image_size": 256, "generator_conv_dim": 1})
    discriminator = network["discriminator"]
    assert count(discriminator) == 2_768_705
    assert millions(count(discriminator)) == "2.769 M"
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
    """Totals that torchsummary prints of the PyTorch version's layers, as published many times."""
    assert count(cyclegan.Generator(num_blocks=blocks)) == expected


def test_a_residual_generator_to_the_unit():
    """The PyTorch version's issue 45 quotes 11388675 with nine blocks, of an early state in which
    instance norm had a scale and a shift for each feature."""
    generator = cyclegan.Generator(num_blocks=9)
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.InstanceNorm2d)]
    assert count(generator) + 2 * sum(norm.num_features for norm in norms) == 11_388_675


def test_the_residual_generators_layers():
    """junyanz/CycleGAN, models/architectures.lua, resnet_6blocks: widths, kernel, stride."""
    with torch.device("meta"):
        network = cyclegan.Generator()
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    found = [(x.in_channels, x.out_channels, x.kernel_size[0], x.stride[0]) for x in layers]
    inner = [(256, 256, 3, 1)] * 12
    ends = [(3, 64, 7, 1), (64, 128, 3, 2), (128, 256, 3, 2)]
    assert found == [*ends, *inner, (256, 128, 3, 2), (128, 64, 3, 2), (64, 3, 7, 1)]


def test_starting_weights_are_the_authors():
    """weights_init of phillipi/pix2pix, train.lua, and of junyanz/CycleGAN, architectures.lua:
    convolutions N(0, 0.02), batch norm's scales N(1, 0.02), all biases 0."""
    torch.manual_seed(0)
    unet = pix2pix.build_networks({"image_size": 64, "levels": 6})["generator"]
    inner, norm = unet.downs[3][1:]
    assert float(inner.weight.detach().std()) == pytest.approx(0.02, rel=0.01)
    assert float(norm.weight.detach().mean()) == pytest.approx(1.0, abs=0.01)
    assert float(norm.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert not unet.ups[0][1].bias.any()
    generator = cyclegan.build_networks({"generator_blocks": 1})["a2b"]
    assert float(generator.main[7].weight.detach().std()) == pytest.approx(0.02, rel=0.01)
    assert not generator.main[7].bias.any()


def test_cyclegans_discriminators():
    networks = cyclegan.build_networks({"generator_conv_dim": 1})
    assert set(networks) == {"a2b", "b2a", "discriminator_a", "discriminator_b"}
    assert count(networks["discriminator_a"]) == 2_764_737
    assert millions(count(networks["discriminator_a"])) == "2.765 M"


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


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("num_halvings", [1, 2, 3, 4])
def test_the_smallest_image_that_a_discriminator_can_judge(num_halvings, norm):
    """A smaller one once failed in its norm or in its last convolution, in the first step."""
    least = 3 * 2**num_halvings
    judge = PatchDiscriminator(channels=3, conv_dim=2, num_halvings=num_halvings, norm=norm)
    check_patches(least, num_halvings)
    assert judge.train()(torch.zeros(1, 3, least, least)).shape == (1, 1, 1, 1)
    with pytest.raises(UsageError, match=f"set `data.image_size` to {least} or more"):
        check_patches(least - 1, num_halvings)


def test_images_too_small_for_the_discriminator_are_refused():
    words = "3 halvings finds no patch in images of 16x16; set `data.image_size` to 24 or more, or "
    with pytest.raises(UsageError, match=f"{words}`model.discriminator_halvings` to 2"):
        pix2pix.build_networks({"image_size": 16, "levels": 4})
    with pytest.raises(UsageError, match=f"{words}`model.discriminator_halvings` to 2"):
        cyclegan.check_training_size(16, discriminator_halvings=3)
    with pytest.raises(UsageError, match=r"`data.image_size` to 24 or more$"):
        check_patches(4, 3)


def test_instance_norm_uses_the_images_own_statistics():
    torch.manual_seed(0)
    generator = cyclegan.Generator(conv_dim=2, num_blocks=1)
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(generator.train()(image), generator.eval()(image))
    assert torch.allclose(generator(image)[:1], generator(image[:1]), atol=1e-6)
