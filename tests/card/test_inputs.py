import numpy as np
import pytest

from stargan_deploy.card.card import EntryPoint
from stargan_deploy.card.inputs import draw_inputs
from stargan_deploy.card.tensors import Dim, TensorSpec
from stargan_deploy.families.checkpoint import read_card

ROWS, SIZES = range(3), {"H": 8, "W": 12}


@pytest.mark.parametrize("io", ["float", "uint8"])
def test_they_fit_what_a_runtime_takes(checkpoint, io):
    point = read_card(checkpoint).entry_points["translate"].with_io(io)
    inputs = draw_inputs(point, ROWS, sizes=SIZES)
    shape = (3, 8, 12, 3) if io == "uint8" else (3, 3, 8, 12)
    assert inputs["image"].shape == shape
    assert str(inputs["image"].dtype) == ("uint8" if io == "uint8" else "float32")
    assert inputs["label"].shape == (3, 5)
    for spec in point.inputs:
        low, high = spec.value_range
        assert low <= inputs[spec.name].min() < inputs[spec.name].max() <= high


def test_another_seed_gives_other_inputs(checkpoint):
    point = read_card(checkpoint).entry_points["translate"]
    first, again, other = (draw_inputs(point, ROWS, sizes=SIZES, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])


def test_fixed_sizes_stay(checkpoint):
    point = read_card(checkpoint).entry_points["classify"]
    assert draw_inputs(point, ROWS, sizes=SIZES)["image"].shape == (3, 3, 32, 32)


def test_inputs_of_other_kinds():
    latent = TensorSpec(
        name="z", kind="latent", dtype="float32", layout="NZ", shape=(Dim(symbol="batch"), 16)
    )
    digit = TensorSpec(
        name="digit",
        kind="class_index",
        dtype="int64",
        layout="N",
        shape=(Dim(symbol="batch"),),
        value_range=(0, 9),
    )
    point = EntryPoint(file="", payload_sha256="", inputs=(latent, digit), outputs=())
    inputs = draw_inputs(point, range(500))
    assert inputs["z"].shape == (500, 16)
    assert inputs["z"].min() < 0 < inputs["z"].max()
    assert set(inputs["digit"].tolist()) == set(range(10))


def test_a_symbol_of_another_letter_takes_its_least_size():
    spec = TensorSpec(
        name="s", kind="style", dtype="float32", layout="NS", shape=(2, Dim(symbol="style", min=5))
    )
    assert spec.shape_for({"N": 9}) == (2, 5)
