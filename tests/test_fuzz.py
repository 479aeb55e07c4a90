"""A bounded number of what `python -m tests.fuzzing` does at length."""

import pytest

from stargan_deploy.backends.registry import read_card_of
from tests.fuzzing import fuzz_card, fuzz_file, make_files
from tests.fuzzing_photos import fuzz_photos


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_files(tmp_path_factory.mktemp("fuzz"), ("onnx", "openvino"))


def test_damaged_cards_are_refused_or_read(files):
    card = read_card_of(files["checkpoint"]).to_json()
    assert fuzz_card(card, 200, seed=1) == []


@pytest.mark.parametrize("kind", ["checkpoint", "onnx", "openvino"])
def test_damaged_files_are_refused_or_read(files, kind, tmp_path):
    assert fuzz_file(files[kind], 60, seed=2, folder=tmp_path) == []


def test_damaged_photos_are_refused_or_read(tmp_path):
    assert fuzz_photos(130, seed=3, folder=tmp_path) == []
