"""Layer shapes and numbers of parameters of the original implementations.

Each figure is as looked up, in the repository and the file that the test names.
"""

import pytest
import torch
from torch import nn

from stargan_deploy.errors import UsageError
from stargan_deploy.families.cgan import networks as cgan
from stargan_deploy.families.dcgan import networks as dcgan
from stargan_deploy.families.gan import networks as gan


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network, *inputs):
    """What each convolution and linear layer gives, without the batch."""
    found = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, out: found.append(tuple(out.shape[1:])))
    network(*inputs)
    return found


def kernels(network):
    """Kernel, stride and padding of the convolutions in their order."""
    kinds = nn.Conv2d | nn.ConvTranspose2d
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    return [(c.kernel_size[0], c.stride[0], c.padding[0]) for c in layers]


def slopes(network):
    return {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)}


def test_goodfellows_networks_for_mnist():
    """goodfeli/adversarial, mnist.yaml: nvis 100, RectifiedLinear 1200 twice, Sigmoid 784; nvis
    784, Maxout of 240 units and 5 pieces twice, Sigmoid 1. The file names no totals; they follow
    from its widths, with a bias a unit (a piece, in a Maxout; lisa-lab/pylearn2, maxout.py)."""
    networks = gan.build_networks({"image_size": 28})
    generator, discriminator = networks["generator"], networks["discriminator"]
    wide = 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    pieces = 240 * 5
    narrow = 784 * pieces + pieces + 240 * pieces + pieces + 240 + 1
    assert (count(generator), count(discriminator)) == (wide, narrow) == (2_503_984, 1_231_441)
    assert shapes(generator, torch.zeros(2, 100)) == [(1200,), (1200,), (784,)]
    assert shapes(discriminator, torch.zeros(2, 1, 28, 28)) == [(1200,), (1200,), (1,)]


def test_a_maxout_unit_is_the_greatest_of_its_pieces():
    unit = gan.Maxout(1, 1, 3)
    with torch.no_grad():
        unit.linear.weight.copy_(torch.tensor([[1.0], [-2.0], [0.0]]))
        unit.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.5]))
    assert unit(torch.tensor([[2.0], [-2.0], [0.1]])).tolist() == [[2.0], [4.0], [0.5]]


def test_dcgan_of_pytorchs_tutorial():
    """Layers: soumith/dcgan.torch, main.lua, and pytorch/examples, dcgan/main.py. Totals: those
    that torchsummary prints of the latter's netG and netD, as published many times."""
    networks = dcgan.build_networks({"image_size": 64})
    assert count(networks["generator"]) == 3_576_704
    assert count(networks["discriminator"]) == 2_765_568
    assert shapes(networks["generator"], torch.zeros(2, 100)) == [
        (512, 4, 4),
        (256, 8, 8),
        (128, 16, 16),
        (64, 32, 32),
        (3, 64, 64),
    ]
    assert shapes(networks["discriminator"], torch.zeros(2, 3, 64, 64)) == [
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (1, 1, 1),
    ]
    assert kernels(networks["generator"]) == [(4, 1, 0)] + [(4, 2, 1)] * 4
    assert kernels(networks["discriminator"]) == [(4, 2, 1)] * 4 + [(4, 1, 0)]
    assert slopes(networks["discriminator"]) == {0.2}


def test_dcgan_of_the_papers_figure():
    """Newmu/dcgan_code, faces/train_uncond_dcgan.py (ngf = ndf = 128) and the paper's figure 1;
    kernels are 5x5 there, which leaves the shapes as they are."""
    table = {"image_size": 64, "generator_conv_dim": 128, "discriminator_conv_dim": 128}
    with torch.device("meta"):
        networks = dcgan.build_networks(table)
        made = shapes(networks["generator"], torch.zeros(2, 100))
        judged = shapes(networks["discriminator"], torch.zeros(2, 3, 64, 64))
    assert made == [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert judged == [(128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4), (1, 1, 1)]


def test_dcgan_of_mnist():
    """AKASHKADEL/dcgan-mnist, networks.py (ngf = ndf = 32), whose generator is that of
    pytorch/examples, cpp/dcgan/dcgan.cpp. Neither states totals; these are sums over its layers."""
    table = {
        "image_size": 28,
        "channels": 1,
        "generator_conv_dim": 32,
        "discriminator_conv_dim": 32,
    }
    networks = dcgan.build_networks(table)
    generator, discriminator = networks["generator"], networks["discriminator"]
    assert count(generator) == 204_800 + 256 + 73_728 + 128 + 32_768 + 64 + 512
    assert count(discriminator) == 512 + 32_768 + 128 + 73_728 + 256 + 2_048
    assert kernels(generator) == [(4, 1, 0), (3, 2, 1), (4, 2, 1), (4, 2, 1)]
    assert kernels(discriminator) == [(4, 2, 1), (4, 2, 1), (3, 2, 1), (4, 1, 0)]
    assert shapes(generator, torch.zeros(2, 100)) == [
        (128, 4, 4),
        (64, 7, 7),
        (32, 14, 14),
        (1, 28, 28),
    ]
    assert shapes(discriminator, torch.zeros(2, 1, 28, 28)) == [
        (32, 14, 14),
        (64, 7, 7),
        (128, 4, 4),
        (1, 1, 1),
    ]
    norms = [layer for layer in discriminator.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [64, 128]


@pytest.mark.parametrize("size", [0, 4, 12, 27, 29, 100])
def test_other_sizes_are_refused(size):
    with pytest.raises(UsageError, match=f"28x28, or of a power of two.*{size}x{size}"):
        dcgan.build_networks({"image_size": size})


def test_starting_weights_are_dcgans():
    """Newmu/dcgan_code, faces/train_uncond_dcgan.py: weights N(0, 0.02), gains N(1, 0.02)."""
    torch.manual_seed(0)
    generator = dcgan.build_networks({"image_size": 64})["generator"]
    assert float(generator.main[0].weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert float(generator.main[1].weight.detach().mean()) == pytest.approx(1.0, abs=0.01)
    assert float(generator.main[1].weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not generator.main[1].bias.any()


def test_the_class_enters_the_first_layers_as_in_dcgans_conditional_code():
    """Newmu/dcgan_code, mnist/train_cond_dcgan.py: `gw` has nz + ny rows, `dw` nc + ny channels,
    with nz = 100, ny = 10 and nc = 1."""
    networks = cgan.build_networks({"image_size": 28, "channels": 1, "num_classes": 10})
    assert networks["generator"].generator.main[0].in_channels == 110
    assert networks["discriminator"].discriminator.main[0].in_channels == 11


def test_both_networks_are_given_the_class():
    torch.manual_seed(0)
    networks = cgan.build_networks(
        {"image_size": 28, "channels": 1, "num_classes": 3, "generator_conv_dim": 4}
    )
    latent, image = (
        torch.randn(1, 100).expand(3, -1),
        torch.randn(1, 1, 28, 28).expand(3, -1, -1, -1),
    )
    classes = torch.arange(3)
    pictures = networks["generator"].eval()(latent, classes)
    scores = networks["discriminator"].eval()(image, classes)
    assert pictures.shape == (3, 1, 28, 28)
    assert scores.shape == (3, 1)
    assert len({round(float(score), 6) for score in scores.detach()}) == 3
    assert not torch.allclose(pictures[0], pictures[1])
    assert cgan.one_hot(torch.tensor([2, 0]), 3).tolist() == [
        [False, False, True],
        [True, False, False],
    ]
