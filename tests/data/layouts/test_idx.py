import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.idx import read_idx
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import DataError, LabelError
from tests.data.opened import opened
from tests.tiny_families import write_digits, write_idx


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_and_classes(tmp_path, suffix):
    write_digits(tmp_path / "mnist", suffix=suffix)
    source = open_source(DataConfig(kind="idx", root=str(tmp_path / "mnist")), "train")
    assert len(source) == 12
    assert source.label_space.names == ("0", "1", "2")
    assert source.label_space.sets[0].kind == "onehot"
    assert source.labels[4].tolist() == [0, 1, 0]
    image = source.load(4)
    assert (image.mode, image.size) == ("RGB", (28, 28))
    assert source.name(4) == "image 4"


def test_some_of_the_classes_in_an_order_of_their_own(tmp_path):
    write_digits(tmp_path / "mnist")
    source = opened("idx", tmp_path / "mnist", attributes=("2", "0"), split="test")
    assert len(source) == 8
    assert source.labels[0].tolist() == [0, 1]
    assert source.name(1) == "image 2"
    with pytest.raises(LabelError, match="unknown class '7'"):
        opened("idx", tmp_path / "mnist", attributes=("7",))


def test_missing_files_are_named(tmp_path):
    write_digits(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"holds no t10k-images-idx3-ubyte, nor .*gz"):
        opened("idx", tmp_path / "mnist", split="test")


def test_images_and_labels_of_different_number_are_refused(tmp_path):
    write_digits(tmp_path / "mnist")
    write_idx(tmp_path / "mnist" / "train-labels-idx1-ubyte.gz", np.zeros(5, np.uint8))
    with pytest.raises(DataError, match="12 train images, but 5 labels"):
        opened("idx", tmp_path / "mnist")


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "x.gz"
    write_idx(path, np.zeros((3, 2, 2), np.uint8))
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:-1]))
    with pytest.raises(DataError, match="11 bytes where 3x2x2 belong"):
        read_idx(path, 3)
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(path, 3)


@given(st.binary(max_size=40))
def test_hostile_bytes_are_refused_in_a_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("hostile") / "x"
    path.write_bytes(content)
    try:
        assert read_idx(path, 1).ndim == 1
    except DataError as error:
        assert "\n" not in str(error)


def test_a_size_larger_than_the_file_is_refused_without_memory(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match="damaged"):
        read_idx(path, 3)


@pytest.mark.parametrize("sizes", [(0, 28, 28), (3, 0, 0), (2**32 - 1, 2**32 - 1, 0)])
def test_images_without_pixels_are_refused(tmp_path, sizes):
    path = tmp_path / "x"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", *sizes))
    with pytest.raises(DataError, match=f"or empty: it is said to hold {sizes[0]}x"):
        read_idx(path, 3)
