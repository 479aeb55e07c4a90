import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.errors import UsageError
from stargan_deploy.families.stargan.networks import Discriminator, Generator, check_generator_size
from stargan_deploy.families.stargan.networks_in import networks_in


def num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_the_official_ones():
    assert num_parameters(Generator(label_width=5)) == 8_430_528
    assert num_parameters(Discriminator(image_size=128, num_labels=5)) == 44_762_048


def test_paper_counts_53_million_for_eight_domains():
    both = num_parameters(Generator(label_width=8)) + num_parameters(
        Discriminator(image_size=128, num_labels=8)
    )
    assert round(both / 1e6, 1) == 53.2


@pytest.mark.parametrize("name", ["tiny-G", "tiny-2018-G", "tiny-legacy-G"])
def test_official_forward_outputs_in_all_three_formats(official, name):
    expected = np.load(official / "forward.npz")
    generator = Generator(label_width=5, conv_dim=8, num_blocks=2)
    generator.load_state_dict(networks_in(official / f"{name}.ckpt")[0].weights)
    for mode in (True, False):
        generator.train(mode)
        with torch.no_grad():
            label = torch.from_numpy(expected["label"])
            out = generator(torch.from_numpy(expected["image"]), label)
            other = generator(torch.from_numpy(expected["image_48x40"]), label[:1])
        assert np.abs(out.numpy() - expected["output"]).max() < 1e-5
        assert np.abs(other.numpy() - expected["output_48x40"]).max() < 1e-5
        wrong = expected["output_if_running_statistics_were_used_wrongly"]
        assert np.abs(out.numpy() - wrong).max() > 0.01


def test_official_discriminator_outputs(official):
    expected = np.load(official / "forward.npz")
    network = Discriminator(image_size=32, num_labels=5, conv_dim=8, num_layers=3)
    network.load_state_dict(networks_in(official / "tiny-D.ckpt")[0].weights)
    with torch.no_grad():
        scores, logits = network(torch.from_numpy(expected["image"]))
    assert np.abs(scores.numpy() - expected["d_src"]).max() < 1e-5
    assert np.abs(logits.numpy() - expected["d_cls"]).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(height=st.integers(0, 70), width=st.integers(0, 70))
def test_generator_takes_multiples_of_four_and_refuses_all_else(height, width):
    if height and width and height % 4 == 0 and width % 4 == 0 and height + width > 8:
        check_generator_size(height, width)
        return
    with pytest.raises(UsageError, match=rf"\b{height}x{width}\b") as caught:
        check_generator_size(height, width)
    nearest = str(caught.value).split("the nearest are ")[1].split(" and ")
    for size in nearest:
        if size != "4x4":
            check_generator_size(*map(int, size.split("x")))


def test_generator_refuses_a_size_when_it_runs():
    generator = Generator(label_width=1, conv_dim=4, num_blocks=1)
    with pytest.raises(UsageError, match="multiples of 4"):
        generator(torch.zeros(1, 3, 30, 32), torch.zeros(1, 1))
    assert generator(torch.zeros(2, 3, 20, 12), torch.zeros(2, 1)).shape == (2, 3, 20, 12)


@pytest.mark.parametrize(
    ("size", "layers", "nearest"), [(30, 3, "24 and 32"), (100, 6, "64 and 128"), (7, 3, "8")]
)
def test_discriminator_refuses_sizes_and_names_the_nearest(size, layers, nearest):
    with pytest.raises(UsageError, match=f"the nearest are {nearest}$"):
        Discriminator(image_size=size, num_labels=1, conv_dim=4, num_layers=layers)


def test_discriminator_refuses_images_of_another_size():
    network = Discriminator(image_size=32, num_labels=1, conv_dim=4, num_layers=3)
    with pytest.raises(UsageError, match="images of 32x32, not 32x64"):
        network(torch.zeros(1, 3, 32, 64))


def test_the_label_changes_the_picture():
    torch.manual_seed(0)
    generator = Generator(label_width=2, conv_dim=8, num_blocks=1)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    first = generator(image, torch.tensor([[0.0, 1.0]]))
    second = generator(image, torch.tensor([[1.0, 0.0]]))
    assert (first - second).abs().max() > 1e-3
