"""Images without labels: plain ones, pairs, and two domains."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from stargan_deploy.data.batches.loading import first_images, image_names
from stargan_deploy.data.batches.open import open_loader
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import ConfigError, DataError, ImageError, LabelError
from stargan_deploy.training.session import create_trainer
from tests.tiny_families import save_noise, tiny_family_recipe, write_domains, write_pairs


def config(root, kind, **changes):
    return DataConfig(kind=kind, root=str(root), crop_size=0, **({"image_size": 64} | changes))


def batches(settings, count=2, first=0, **changes):
    arguments = {"batch_size": 3, "seed": 0} | changes
    stream = open_loader(open_source(settings, "train"), settings, **arguments).batches(first)
    return [next(stream) for _ in range(count)]


def same(first, second):
    return all(
        torch.equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a
    )


def test_plain_images_have_no_labels(tmp_path):
    for number in range(45):
        save_noise(tmp_path / f"{number:02}.png", 8, 8, seed=number)
    settings = config(tmp_path, "plain", image_size=8)
    train, test = open_source(settings, "train"), open_source(settings, "test")
    assert (len(train), len(test)) == (42, 3)
    assert not set(train.names) & set(test.names)
    (batch,) = batches(settings, 1)
    assert batch["image"].shape == (3, 3, 8, 8)
    assert batch["label"].shape == (3, 0)


def test_few_plain_images_serve_both_splits_and_none_are_refused(tmp_path):
    save_noise(tmp_path / "a.png", 8, 8)
    assert len(open_source(config(tmp_path, "plain"), "test")) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_source(config(tmp_path / "empty", "plain"), "train")
    with pytest.raises(ConfigError, match="have no attributes"):
        open_source(config(tmp_path, "plain", attributes=("a",)), "train")


@pytest.mark.parametrize(("condition", "left"), [("right", "image"), ("left", "condition")])
def test_a_pair_is_cut_apart(tmp_path, condition, left):
    write_pairs(tmp_path)
    settings = config(tmp_path, "paired", condition=condition, flip=False)
    source = open_source(settings, "train")
    assert sorted(image_names(source)) == ["condition", "image"]
    first = first_images(source, settings, 1)
    pixels = np.asarray(source.load(0))
    assert np.array_equal(first[left][0].permute(1, 2, 0), pixels[:, :64])


def test_both_images_of_a_pair_are_mirrored_and_cut_alike(tmp_path):
    for number in range(4):
        save_noise(tmp_path / "halves" / f"{number}.png", 64, 64, seed=number)
        half = np.asarray(open_source(config(tmp_path / "halves", "plain"), "train").load(number))
        path = tmp_path / "pairs" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate([half, half], axis=1)).save(path)
    settings = config(tmp_path / "pairs", "paired", jitter=8)
    for batch in batches(settings, 4):
        assert batch["image"].shape == (3, 3, 64, 64)
        assert torch.equal(batch["image"], batch["condition"])


def test_windows_depend_on_seed_and_step_alone(tmp_path):
    write_pairs(tmp_path)
    settings = config(tmp_path, "paired", jitter=8)
    whole = batches(settings, 4)
    assert same(whole[2:], batches(settings, 2, first=2))
    assert not same(whole, batches(settings, 4, seed=1))
    part = batches(settings, 4, part=slice(1, 3))
    assert all(torch.equal(a["image"][1:], b["image"]) for a, b in zip(whole, part, strict=True))


def test_an_unpaired_folder_is_refused(tmp_path):
    save_noise(tmp_path / "a.png", 64, 100)
    save_noise(tmp_path / "b.png", 64, 64)
    with pytest.raises(DataError, match=r"does not hold pairs: a.png is 64x100.*and 1 more"):
        open_source(config(tmp_path, "paired"), "train")


def test_a_broken_pair_is_found_by_decoding(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "train" / "3.png").write_bytes(b"nothing")
    source = open_source(config(tmp_path, "paired"), "train")
    with pytest.raises(ImageError):
        source.load(3)


def test_two_domains_have_orders_of_their_own(tmp_path):
    write_domains(tmp_path)
    settings = config(tmp_path, "unpaired", image_size=20, attributes=("photo", "monet"))
    source = open_source(settings, "train")
    assert image_names(source) == ("image_a", "image_b")
    assert len(source) == 8
    assert source.description.endswith("(photo and monet)")
    whole = batches(settings, 5)
    assert whole[0]["image_a"].shape == whole[0]["image_b"].shape == (3, 3, 20, 20)
    assert whole[0]["label"].shape == (3, 0)
    assert same(whole[2:], batches(settings, 3, first=2))
    seen = {row.numpy().tobytes() for batch in whole for row in batch["image_b"]}
    assert len(seen) <= 6


def test_the_folders_of_cyclegans_own_data_sets(tmp_path):
    for letter in "AB":
        save_noise(tmp_path / f"train{letter}" / "0.png", 20, 20)
        save_noise(tmp_path / f"test{letter}" / "1.png", 20, 20)
    source = open_source(config(tmp_path, "unpaired"), "test")
    assert [source.name(index) for index in (0, 1)] == ["1.png", "1.png"]


def lettered(folder, *names):
    """Images by name in the folders of CycleGAN's own data sets."""
    for name in names:
        save_noise(folder / name / f"{name}.png", 20, 20)
    return config(folder, "unpaired", attributes=("photo", "vangogh"))


def names_of(settings, split):
    source = open_source(settings, split)
    return [source.name(index) for index in range(len(source))]


def test_a_recipe_with_names_takes_the_folders_of_cyclegans_own_data_sets(tmp_path):
    """The recipe that ships names a photo's and a painter's folder, and once refused these."""
    settings = lettered(tmp_path, "trainA", "trainB", "testA", "testB")
    assert names_of(settings, "train") == ["trainA.png", "trainB.png"]
    assert names_of(settings, "test") == ["testA.png", "testB.png"]
    turned = replace(settings, attributes=("trainB", "trainA"))
    assert names_of(turned, "test") == ["testB.png", "testA.png"]
    save_noise(tmp_path / "vangogh" / "own.png", 20, 20)
    with pytest.raises(DataError, match=r"unknown domain 'photo'.*name A and B with `attributes`"):
        open_source(settings, "train")
    save_noise(tmp_path / "photo" / "own.png", 20, 20)
    assert names_of(settings, "train") == ["own.png", "own.png"]


def test_a_missing_half_is_named_whatever_the_recipe_names(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*trainB; two domains are needed"):
        open_source(lettered(tmp_path, "trainA", "testA"), "train")
    (tmp_path / "trainB").mkdir()
    with pytest.raises(DataError, match=r"trainB holds no images; two domains are needed"):
        open_source(lettered(tmp_path), "train")


def test_one_domain_as_both_is_refused(tmp_path):
    write_domains(tmp_path)
    with pytest.raises(LabelError, match="two domains are needed, and 'photo' is named twice"):
        open_source(config(tmp_path, "unpaired", attributes=("photo", "photo")), "train")


def test_a_missing_domain_is_named(tmp_path):
    save_noise(tmp_path / "trainA" / "0.png", 20, 20)
    with pytest.raises(DataError, match=r"no folder .*trainB; two domains are needed"):
        open_source(config(tmp_path, "unpaired"), "train")


def test_domains_that_are_not_there_or_not_two(tmp_path):
    write_domains(tmp_path)
    with pytest.raises(DataError, match="unknown domain 'money'; did you mean 'monet'"):
        open_source(config(tmp_path, "unpaired", attributes=("photo", "money")), "train")
    with pytest.raises(DataError, match="two domains are needed, A and B, not 1"):
        open_source(config(tmp_path, "unpaired", attributes=("photo",)), "train")
    save_noise(tmp_path / "train" / "ukiyoe" / "0.png", 20, 20)
    with pytest.raises(DataError, match=r"has 3 \(monet, photo, ukiyoe\); name A and B"):
        open_source(config(tmp_path, "unpaired"), "train")


def test_data_of_another_kind_is_refused_before_the_first_step(tmp_path):
    write_pairs(tmp_path)
    recipe = tiny_family_recipe("cyclegan", tmp_path, data={"kind": "paired"})
    with pytest.raises(DataError, match="cyclegan learns from image_a and image_b"):
        create_trainer(recipe, None)
