import copy

import pytest
import torch
from torch import Tensor, nn

from stargan_deploy.errors import ModelError
from stargan_deploy.families.blocks.precision import LoweredLayer, lower_convolutions
from stargan_deploy.families.stargan.networks import Generator

HALF_TYPES = [torch.float16, torch.bfloat16]


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(label_width=5, conv_dim=8, num_blocks=1).eval()


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    return image, torch.eye(5)[:2]


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_convolutions_hold_half_weights_and_norms_do_not(generator, dtype):
    lowered = lower_convolutions(generator, dtype)
    for module in lowered.modules():
        kinds = {parameter.dtype for parameter in module.parameters(recurse=False)}
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert kinds == {dtype}
        elif isinstance(module, nn.InstanceNorm2d):
            assert kinds == {torch.float32}


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_everything_between_the_convolutions_is_fp32(generator, dtype):
    lowered = lower_convolutions(generator, dtype)
    seen: dict[type[nn.Module], set[torch.dtype]] = {}

    def note(module: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        seen.setdefault(type(module), set()).update(t.dtype for t in (*taken, given))

    for module in lowered.modules():
        module.register_forward_hook(note)
    lowered(*inputs())
    assert seen[nn.Conv2d] == seen[nn.ConvTranspose2d] == {dtype}
    assert seen[nn.InstanceNorm2d] == seen[nn.ReLU] == seen[nn.Tanh] == {torch.float32}


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
def test_it_computes_nearly_the_same(generator, dtype, limit):
    expected, found = generator(*inputs()), lower_convolutions(generator, dtype)(*inputs())
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < limit


def test_the_network_itself_stays_as_it_is(generator):
    before = copy.deepcopy(generator.state_dict())
    expected = generator(*inputs())
    lower_convolutions(generator, torch.float16)
    assert not any(isinstance(module, LoweredLayer) for module in generator.modules())
    after = generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(generator(*inputs()), expected)


def test_modes_are_kept(generator):
    assert not any(m.training for m in lower_convolutions(generator, torch.float16).modules())
    generator.train()
    assert all(m.training for m in lower_convolutions(generator, torch.float16).modules())


def test_a_network_that_is_one_layer():
    layer = nn.Linear(4, 3)
    lowered = lower_convolutions(layer, torch.bfloat16)
    assert lowered(torch.ones(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def test_a_layer_in_two_places_stays_one_layer():
    shared = nn.Conv2d(3, 3, 1)
    lowered = lower_convolutions(nn.Sequential(shared, nn.Sequential(shared)), torch.float16)
    assert sum(1 for _ in lowered.parameters()) == 2
    assert lowered(torch.ones(1, 3, 2, 2)).dtype == torch.float32


def test_weights_beyond_the_range_are_refused():
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    with torch.no_grad():
        network[0].weight[0, 0] = -1e5
    with pytest.raises(
        ModelError, match=r"0\.weight holds a weight of 1e\+05.*set `precision` to bf16 or fp32"
    ):
        lower_convolutions(network, torch.float16)
    lower_convolutions(network, torch.bfloat16)
