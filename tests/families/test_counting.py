import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stargan_deploy.card.card import ModelCard, Preprocessing
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.errors import CardError, UsageError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint, read_card
from stargan_deploy.families.counting import count_call, count_operations
from stargan_deploy.families.registry import load_family


@pytest.fixture(scope="module")
def full_card() -> ModelCard:
    """The paper's network, which no test computes with."""
    network = {"label_width": 5, "num_labels": 5, "image_size": 128}
    card = ModelCard(
        family="stargan",
        network=network,
        weights="raw",
        step=0,
        labels=multilabel_space(("a", "b", "c", "d", "e")),
        preprocessing=Preprocessing(image_size=128),
        entry_points={},
    )
    with torch.device("meta"):
        points = load_family("stargan").entry_points(
            load_family("stargan").build_networks(network), card
        )
    return dataclasses.replace(card, entry_points=points)


def test_the_full_generator(full_card):
    counts = count_call(full_card, batch_size=1, height=128, width=128)
    assert counts.macs == 9_960_423_424
    assert counts.winograd_macs == 12 * 32 * 32 * 256 * 256 * 9
    pixels = 3 * 128 * 128
    assert counts.num_bytes == 4 * 8_430_528 + 4 * (pixels + 5 + pixels)


def test_operations_grow_with_images_and_pixels(full_card):
    one = count_call(full_card, batch_size=1, height=128, width=128)
    assert count_call(full_card, batch_size=7, height=128, width=128).macs == 7 * one.macs
    wide = count_call(full_card, batch_size=1, height=64, width=512)
    assert wide.macs == 2 * one.macs


def test_weights_take_as_many_bytes_as_their_precision(full_card):
    def num_bytes(precision):
        size = {"batch_size": 1, "height": 128, "width": 128}
        return count_call(full_card, **size, precision=precision).num_bytes

    lowered = 8_430_528 - sum(2 * n for n in (64, 128, 256, 128, 64)) - 12 * 2 * 256
    assert num_bytes("fp32") - num_bytes("fp16") == 2 * lowered
    assert num_bytes("bf16") == num_bytes("fp16")
    assert num_bytes("fp32") - num_bytes("int8") == 3 * lowered


@pytest.mark.parametrize("entry_point", ["translate", "classify"])
def test_pytorchs_own_counter_agrees(checkpoint, entry_point):
    card = read_card(checkpoint)
    networks = build_model(load_checkpoint(checkpoint), weights="raw")
    module = load_family(card.family).entry_module(networks, entry_point)
    inputs = (torch.rand(2, 3, 32, 32), torch.rand(2, 5))[: 1 + (entry_point == "translate")]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(*inputs)
    counts = count_call(card, batch_size=2, height=32, width=32, entry_point=entry_point)
    assert 2 * counts.macs == counter.get_total_flops()


def test_an_artefact_with_pixels_moves_a_quarter_of_them(checkpoint):
    card = read_card(checkpoint)
    size = {"batch_size": 3, "height": 40, "width": 48}
    of_floats = count_call(card, **size)
    pixels = {name: point.with_io("uint8") for name, point in card.entry_points.items()}
    of_pixels = count_call(dataclasses.replace(card, entry_points=pixels), **size)
    assert of_pixels.macs == of_floats.macs
    assert of_floats.num_bytes - of_pixels.num_bytes == 2 * 3 * (3 * 40 * 48 * 3)


@settings(max_examples=60, deadline=None)
@given(
    transposed=st.booleans(),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    size=st.tuples(st.integers(9, 14), st.integers(9, 14)),
)
def test_products_with_padding(transposed, kernel, stride, padding, dilation, groups, size):
    """With ones everywhere, the sum of the output counts the products that are not with padding."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(
        *(4, 6, kernel),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    nn.init.ones_(layer.weight)
    image = torch.ones(2, 4, *size)
    counts = count_operations(layer, [image])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        total = layer(image).double().sum().item()
    assert counts.macs - counts.padding_macs == total
    assert 2 * counts.macs == counter.get_total_flops()


def test_linear_layers_and_layers_used_twice():
    linear = nn.Linear(6, 4)
    square = nn.Linear(6, 6)
    counts = count_operations(nn.Sequential(square, square, linear), [torch.rand(5, 7, 6)])
    assert counts.macs == 5 * 7 * (36 + 36 + 24)
    assert counts.padding_macs == counts.winograd_macs == 0


def test_only_zero_padding_may_be_skipped():
    image = torch.rand(1, 2, 8, 8)
    reflect = count_operations(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), [image])
    assert reflect.padding_macs == 0
    assert reflect.winograd_macs == reflect.macs
    same = count_operations(nn.Conv2d(2, 2, 3, padding="same"), [image])
    assert same == count_operations(nn.Conv2d(2, 2, 3, padding=1), [image])
    assert 0 < same.padding_macs < same.macs == same.winograd_macs


def test_convolutions_that_are_no_layers_are_counted():
    class Functional(nn.Module):
        def forward(self, x):
            return nn.functional.conv2d(x, torch.ones(4, 2, 3, 3), padding=1) @ torch.ones(8, 5)

    counts = count_operations(Functional(), [torch.rand(1, 2, 8, 8)])
    assert counts.macs == 64 * 4 * 2 * 9 + 4 * 8 * 8 * 5
    assert counts.winograd_macs == 64 * 4 * 2 * 9


def test_an_error_leaves_the_module_as_it_was():
    layer = nn.Conv2d(2, 2, 3)
    with pytest.raises(RuntimeError):
        count_operations(layer, [torch.rand(1, 3, 8, 8)])
    assert not layer._forward_hooks
    assert count_operations(layer, [torch.rand(1, 2, 8, 8)]).macs == 36 * 36


def test_what_the_model_does_not_take(checkpoint):
    card = read_card(checkpoint)
    with pytest.raises(UsageError, match="multiples of 4"):
        count_call(card, batch_size=1, height=30, width=32)
    with pytest.raises(CardError, match="sample"):
        count_call(card, batch_size=1, height=32, width=32, entry_point="sample")
