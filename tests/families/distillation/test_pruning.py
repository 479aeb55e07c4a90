"""Narrow generators start from wide ones, channel by channel."""

import pytest
import torch

from stargan_deploy.errors import UsageError
from stargan_deploy.families.distillation.base import NUM_DEPTHS
from stargan_deploy.families.distillation.pruning import pruned
from stargan_deploy.families.distillation.taps import Taps, collected
from stargan_deploy.families.registry import load_family

STARGAN = {
    "generator_conv_dim": 8,
    "generator_blocks": 4,
    "discriminator_conv_dim": 4,
    "discriminator_layers": 3,
    "label_width": 2,
    "num_labels": 2,
    "image_size": 16,
}
CYCLEGAN = {
    "generator_conv_dim": 8,
    "generator_blocks": 3,
    "discriminator_conv_dim": 4,
    "discriminator_halvings": 1,
}
PIX2PIX = {
    "levels": 6,
    "generator_conv_dim": 8,
    "discriminator_conv_dim": 4,
    "discriminator_halvings": 2,
    "image_size": 64,
}
TABLES = {
    "stargan": STARGAN,
    "cyclegan": CYCLEGAN,
    "pix2pix": PIX2PIX | {"norm": "batch"},
    "pix2pix with instance norm": PIX2PIX | {"norm": "instance"},
}


def built(name, **changes):
    """A generator with weights that have no symmetry, its table, and its family's answers."""
    table = TABLES[name] | changes
    family = load_family(name.partition(" ")[0])
    torch.manual_seed(1)
    role = family.distillation.roles[0]
    network = family.build_networks(table)[role].double().eval()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 1.0) if value.ndim == 1 else value.normal_(0, 0.3)
    return network, table, family.distillation


def inputs(name):
    random = torch.Generator().manual_seed(3)
    image = torch.rand(2, 3, 64, 64, generator=random).double() * 2 - 1
    return (image, torch.eye(2).double()) if name == "stargan" else (image,)


def narrowed(name, importance="weights", **changes):
    wide, table, how = built(name)
    narrow, own, _ = built(name, **changes)
    state = wide.state_dict()
    fresh = narrow.state_dict()
    keys = {key: how.key_in_teacher(key, student=own, teacher=table) for key in fresh}
    weights = {key: state[source] for key, source in keys.items()}
    narrow.load_state_dict(pruned(weights, fresh, how.channels(own), importance=importance))
    return wide, narrow


@pytest.mark.parametrize("name", TABLES)
def test_equal_widths_are_the_same_network(name):
    wide, same = narrowed(name)
    values = zip(wide.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in values)
    assert torch.equal(wide(*inputs(name)), same(*inputs(name)))


@pytest.mark.parametrize("name", TABLES)
def test_channels_that_add_nothing_can_go(name):
    """Half of each group of channels is silenced and unheard: dropping it changes nothing."""
    wide, table, how = built(name)
    state = wide.state_dict()
    starts = {}
    for group in how.channels(table):
        key, axis = next(iter(group.written.items()))
        count = state[key].shape[axis]
        quiet = torch.randperm(count)[: count // 2]
        for key, axis in group.written.items():
            state[key].movedim(axis, 0)[quiet] *= 1e-3
        for key in group.scales:
            state[key][quiet] *= 1e-3
        for key, axis in group.read.items():
            start = starts.get(key, 0)
            state[key].movedim(axis, 0)[quiet + start] = 0
            starts[key] = start + count
    narrow, own, _ = built(name, generator_conv_dim=4)
    for importance in ("weights", "norms") if name == "stargan" else ("weights",):
        narrow.load_state_dict(
            pruned(state, narrow.state_dict(), how.channels(own), importance=importance)
        )
        difference = (wide(*inputs(name)) - narrow(*inputs(name))).abs().max()
        assert difference < 1e-4, importance


@pytest.mark.parametrize("name", ["stargan", "cyclegan"])
def test_fewer_blocks_come_from_all_over(name):
    wide, narrow = narrowed(name, generator_blocks=2)
    first = 9 if name == "stargan" else 10
    inner = 0 if name == "stargan" else 1
    count = TABLES[name]["generator_blocks"]
    taken = [narrow.main[first + n].main[inner].weight for n in range(2)]
    assert torch.equal(taken[-1], wide.main[first + count - 1].main[inner].weight)
    assert torch.equal(taken[0], wide.main[first + 1].main[inner].weight)
    assert narrow(*inputs(name)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("name", TABLES)
def test_features_are_where_they_are_said_to_be(name):
    network, table, how = built(name)
    layers = how.features(table)
    assert len(layers) == NUM_DEPTHS
    with collected([Taps(network, layers)]) as features:
        network(*inputs(name))
    assert [x.shape[1] for x in features] == [layer.channels for layer in layers]


def test_every_channel_belongs_to_a_group():
    """A tensor with a free width is sliced along every axis that has it."""
    for name in TABLES:
        wide, narrow = narrowed(name, generator_conv_dim=2)
        assert wide(*inputs(name)).shape == narrow(*inputs(name)).shape


def test_norms_without_scales_rank_nothing():
    with pytest.raises(UsageError, match="scales of their norms"):
        narrowed("cyclegan", importance="norms", generator_conv_dim=4)


def test_wider_networks_are_refused():
    with pytest.raises(UsageError, match="16 channels where its teacher has 8"):
        narrowed("stargan", generator_conv_dim=16)
