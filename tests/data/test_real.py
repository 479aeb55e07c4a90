"""The readers on real data sets, where STARGAN_DEPLOY_DATA names a folder of them."""

import numpy as np
import pytest

from stargan_deploy.data.batches.loading import first_images
from stargan_deploy.data.config import DataConfig, SetConfig
from stargan_deploy.data.open import open_source
from tests.data.opened import opened

pytestmark = pytest.mark.realdata


def test_celeba_hq(real_data):
    root = real_data / "celeba_hq_128"
    train, test = opened("celeba", root, split="train"), opened("celeba", root, split="test")
    assert (len(train), len(test)) == (10_001, 1_999)
    assert not set(train.names) & set(test.names)
    assert train.labels[:, :3].sum(axis=1).max() <= 2
    assert 0.3 < train.labels[:, 3].mean() < 0.45
    assert train.load(0).size == (128, 128)


def test_expressions_in_folders(real_data):
    config = DataConfig(root=str(real_data / "fer2013_48"), image_size=48, crop_size=0)
    source = open_source(config, "train")
    assert source.label_space.names == (
        *("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    )
    assert len(source) == 2800
    batch = first_images(source, config, 4)
    assert batch["image"].shape == (4, 3, 48, 48)
    assert np.array_equal(batch["image"][:, 0], batch["image"][:, 1])
    assert len(open_source(config, "test")) == 700


def test_attributes_and_expressions_jointly(real_data):
    sets = {
        "faces": SetConfig(root=str(real_data / "celeba_hq_128")),
        "moods": SetConfig(root=str(real_data / "fer2013_48")),
    }
    config = DataConfig(sets=sets, image_size=32, crop_size=0)
    source = open_source(config, "train")
    assert source.set_sizes == (10_001, 2_800)
    assert source.labels.shape == (12_801, 5 + 7 + 2)
    batch = first_images(open_source(config, "test"), config, 6)
    is_grey = (batch["image"][:, 0] == batch["image"][:, 1]).flatten(1).all(1)
    assert is_grey.tolist() == [False, True] * 3


def test_art_in_folders(real_data):
    source = open_source(DataConfig(root=str(real_data / "art5_128")), "train")
    assert source.label_space.names == ("cezanne", "monet", "photo", "ukiyoe", "vangogh")


def test_mnist(real_data):
    config = DataConfig(kind="idx", root=str(real_data / "mnist_idx"), image_size=28, crop_size=0)
    train, test = open_source(config, "train"), open_source(config, "test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.label_space.names == tuple("0123456789")
    assert train.labels[:8].argmax(1).tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert first_images(train, config, 8)["image"].shape == (8, 3, 28, 28)


def test_facades_are_pairs(real_data):
    config = DataConfig(
        kind="paired", root=str(real_data / "facades_256"), image_size=256, crop_size=0
    )
    source = open_source(config, "train")
    assert source.panels == ("image", "condition")
    batch = first_images(source, config, 2)
    assert batch["image"].shape == batch["condition"].shape == (2, 3, 256, 256)
    bluish = {
        name: (batch[name][:, 2] > batch[name][:, 0]).float().mean() for name in source.panels
    }
    assert bluish["condition"] > 0.5  # walls are painted blue in the label maps
    assert bluish["condition"] > bluish["image"]


def test_paintings_are_two_domains(real_data):
    config = DataConfig(
        kind="unpaired",
        root=str(real_data / "art5_128"),
        attributes=("photo", "monet"),
        image_size=128,
        crop_size=0,
    )
    source = open_source(config, "train")
    assert len(source) > 100
