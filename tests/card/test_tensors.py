from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.backends.fake.runtime import fake_card
from stargan_deploy.card.card import (
    EntryPoint,
    ModelCard,
    Preprocessing,
    new_entry_point,
    parse_card,
)
from stargan_deploy.card.labels import NO_LABELS
from stargan_deploy.card.pixels import (
    from_spec,
    levels_to_unit,
    pixels_to_tensor,
    tensor_to_pixels,
    to_spec,
    unit_to_levels,
)
from stargan_deploy.card.tensors import (
    Dim,
    TensorSpec,
    as_dim,
    class_spec,
    image_spec,
    mask_spec,
    second_size,
    vector_spec,
)
from stargan_deploy.errors import CardError, UsageError

steps = st.integers(1, 40)


@st.composite
def dims(draw):
    least, multiple = draw(steps), draw(steps)
    most = draw(st.one_of(st.none(), st.integers(least + multiple, 200)))
    return Dim(symbol="side", min=least, max=most, multiple=multiple)


@given(dim=dims(), size=st.integers(-5, 300))
def test_the_nearest_size_is_allowed_and_no_other_is_closer(dim, size):
    found = dim.nearest(size)
    assert dim.accepts(found)
    assert dim.least <= found <= (dim.greatest or found)
    allowed = [other for other in range(1, 500) if dim.accepts(other)]
    assert abs(found - size) == min(abs(other - size) for other in allowed)
    assert (dim.least, dim.greatest) == (allowed[0], dim.max and allowed[-1])
    assert dim.is_free == (len(allowed) > 1)


@given(dim=dims(), most=st.integers(1, 300))
def test_a_limit_only_takes_sizes_away(dim, most):
    allowed = {size for size in range(1, most + 1) if dim.accepts(size)}
    if not allowed:
        with pytest.raises(UsageError, match="is too small; the least is"):
            dim.limited(most)
        return
    limited = as_dim(dim.limited(most))
    assert {size for size in range(1, 500) if limited.accepts(size)} == allowed


def test_a_number_is_a_dimension_of_one_size():
    dim = as_dim(7)
    assert (dim.least, dim.greatest, dim.nearest(99), dim.is_free) == (7, 7, 7, False)
    assert (str(dim), dim.describe()) == ("7", "7")
    assert as_dim(Dim(symbol="batch")) == Dim(symbol="batch")


def test_sizes_in_words():
    assert Dim(symbol="h", min=4, multiple=4).describe() == "from 4 that are multiples of 4"
    assert Dim(symbol="n", max=16).describe() == "from 1 to 16"


def test_the_second_size_is_no_square():
    free = Dim(symbol="side", min=4, multiple=4)
    assert second_size(free, free, (32, 32)) == (24, 40)
    assert second_size(as_dim(32), as_dim(32), (32, 32)) == (32, 32)


def test_pixels_and_tensors_describe_the_same_images():
    own = image_spec("image", Dim(symbol="height"), 8)
    pixels = own.with_io("uint8")
    assert own.with_io("float") == own
    assert (pixels.layout, pixels.shape[1:], pixels.dtype) == (
        "NHWC",
        (own.shape[2], 8, 3),
        "uint8",
    )
    assert pixels.is_pixels
    assert not own.is_pixels
    values = np.random.default_rng(0).integers(0, 256, (2, 4, 8, 3), np.uint8)
    for spec in (own, pixels):
        assert np.array_equal(from_spec(to_spec(values, spec), spec), values)
    odd = TensorSpec(name="x", kind="image", dtype="float32", layout="NHWC", shape=(1, 2, 2, 3))
    with pytest.raises(CardError, match="'x' is float32 NHWC in None"):
        to_spec(values, odd)


def test_numpy_and_torch_map_levels_alike():
    levels = np.arange(256, dtype=np.float32)
    unit = levels_to_unit(levels)
    assert unit.dtype == np.float32
    assert torch.equal(levels_to_unit(torch.from_numpy(levels)), torch.from_numpy(unit))
    assert np.array_equal(np.rint(unit_to_levels(unit)), levels)
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert np.array_equal(tensor_to_pixels(pixels_to_tensor(pixels)), pixels)


def test_shapes_of_a_call():
    spec = image_spec("image", Dim(symbol="height", min=5, multiple=4), 8, io="uint8")
    assert spec.shape_for({"N": 3, "H": 16, "W": 99}) == (3, 16, 8, 3)
    assert spec.shape_for({"N": 3}) == (3, 8, 8, 3)
    assert spec.fixed({"H": 12, "W": 99}).shape[1:3] == (12, 8)
    assert spec.limited({"N": 2, "H": 11}).shape == (Dim(symbol="batch", max=2), *(8, 8, 3))


def points(*names: str, **further: EntryPoint) -> ModelCard:
    image = image_spec("image", 8, 8)
    plain = new_entry_point([image], image_spec("out", 8, 8))
    return ModelCard(
        family="x",
        network={},
        weights="raw",
        step=0,
        labels=NO_LABELS,
        preprocessing=Preprocessing(image_size=8),
        entry_points=dict.fromkeys(names, plain) | further,
    )


def test_the_main_entry_point_makes_images_of_as_little_as_possible():
    image, style = image_spec("image", 8, 8), vector_spec("style", "style", 4)
    encode = new_entry_point([image], style)
    restyle = new_entry_point([image, style], image_spec("out", 8, 8))
    dropping = new_entry_point([image, mask_spec("mask", (2, 8, 8))], image_spec("out", 8, 8))
    sample = new_entry_point([class_spec("digit", 10)], image_spec("out", 8, 8))
    assert points("b2a", "a2b", encode=encode, dropping=dropping).main_entry_point == "a2b"
    assert points(encode=encode, restyle=restyle).main_entry_point == "restyle"
    assert points(encode=encode, sample=sample).main_entry_point == "sample"
    assert points(encode=encode).main_entry_point == "encode"
    assert points().main_entry_point == ""


def test_all_images_of_an_entry_point_are_seen():
    two = [image_spec("image", 8, 12), image_spec("reference", 16, 16)]
    label, style = vector_spec("label", "label", 3), vector_spec("style", "style", 4)
    point = new_entry_point([*two, label, style], image_spec("out", 8, 12))
    assert [[dim.least for dim in size] for size in point.sizes] == [[8, 12], [16, 16]]
    assert [spec.name for spec in point.further_inputs] == ["reference", "style"]
    assert point.inputs_of("image") == tuple(two)
    assert not point.is_stochastic


def test_cards_name_later_fields_only_where_they_say_something():
    how = Preprocessing(image_size=8)
    card = fake_card(image_size=8)
    assert "condition" not in card.to_json()
    assert parse_card(card.to_json(), where="here") == card
    own = replace(card, preprocessing=replace(how, condition="left", value_range=(0.0, 9.0)))
    assert parse_card(own.to_json(), where="here") == own
