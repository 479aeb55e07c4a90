import numpy as np
import pytest

from stargan_deploy.backends.pixel_graph import with_io
from stargan_deploy.benchmarking.measure.inputs import random_inputs, tensor_shape
from stargan_deploy.card.card import Dim, EntryPoint, TensorSpec
from stargan_deploy.families.checkpoint import read_card

SIZE = {"batch_size": 3, "height": 8, "width": 12}


@pytest.mark.parametrize("io", ["float", "uint8"])
def test_they_fit_what_a_runtime_takes(checkpoint, io):
    point = with_io(read_card(checkpoint).entry_points["translate"], io)
    inputs = random_inputs(point, **SIZE)
    shape = (3, 8, 12, 3) if io == "uint8" else (3, 3, 8, 12)
    assert inputs["image"].shape == shape
    assert str(inputs["image"].dtype) == ("uint8" if io == "uint8" else "float32")
    assert inputs["label"].shape == (3, 5)
    for spec in point.inputs:
        low, high = spec.value_range
        assert low <= inputs[spec.name].min() < inputs[spec.name].max() <= high


def test_another_seed_gives_other_inputs(checkpoint):
    point = read_card(checkpoint).entry_points["translate"]
    first, again, other = (random_inputs(point, **SIZE, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first["image"], again["image"])
    assert not np.array_equal(first["image"], other["image"])


def test_fixed_sizes_stay(checkpoint):
    point = read_card(checkpoint).entry_points["classify"]
    assert random_inputs(point, **SIZE)["image"].shape == (3, 3, 32, 32)


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
    inputs = random_inputs(point, batch_size=500, height=1, width=1)
    assert inputs["z"].shape == (500, 16)
    assert inputs["z"].min() < 0 < inputs["z"].max()
    assert set(inputs["digit"].tolist()) == set(range(10))


def test_a_symbol_of_another_letter_takes_its_least_size():
    spec = TensorSpec(
        name="s", kind="style", dtype="float32", layout="NS", shape=(2, Dim(symbol="style", min=5))
    )
    assert tensor_shape(spec, {"N": 9}) == (2, 5)
