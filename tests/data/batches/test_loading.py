from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.config import from_mapping
from stargan_deploy.data.batches.loading import (
    BatchLoader,
    StreamOrder,
    first_images,
    to_model_range,
)
from stargan_deploy.data.batches.open import open_loader
from stargan_deploy.data.config import DataConfig, SetConfig
from stargan_deploy.data.inspect.check import check_folder
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import ConfigError, DataError
from tests.data.opened import opened

CONFIG = DataConfig(num_synthetic=7, image_size=32, crop_size=0)


def take(loader, first_step, count):
    return list(islice(loader.batches(first_step), count))


def test_batches_hold_pixels_and_labels():
    source = open_source(CONFIG, "train")
    batch = take(BatchLoader(source, CONFIG, batch_size=3, seed=0), 0, 1)[0]
    assert batch["image"].shape == (3, 3, 32, 32)
    assert batch["image"].dtype == torch.uint8
    assert batch["label"].shape == (3, 7)


def test_the_stream_goes_on_where_it_would_have_been():
    source = open_source(CONFIG, "train")
    whole = take(BatchLoader(source, CONFIG, batch_size=3, seed=0), 0, 6)
    rest = take(BatchLoader(source, CONFIG, batch_size=3, seed=0), 4, 2)
    for expected, found in zip(whole[4:], rest, strict=True):
        assert torch.equal(expected["image"], found["image"])
        assert torch.equal(expected["label"], found["label"])


def test_workers_and_memory_give_the_same_batches(tmp_path):
    write_celeba(tmp_path, 6, size=32)
    names = ("Blond_Hair", "Male")
    kept = DataConfig(root=str(tmp_path), image_size=32, crop_size=0, split="none")
    streamed = DataConfig(
        root=str(tmp_path), image_size=32, crop_size=0, split="none", cache_mib=0, num_workers=2
    )
    source = opened("celeba", tmp_path, attributes=names, scheme="none")
    first = take(BatchLoader(source, kept, batch_size=4, seed=1), 0, 4)
    second = take(BatchLoader(source, streamed, batch_size=4, seed=1), 0, 4)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])


@given(
    num_images=st.integers(1, 30),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 99),
    epochs=st.integers(1, 3),
)
def test_every_epoch_shows_every_image_once(num_images, batch_size, seed, epochs):
    order = StreamOrder(num_images, batch_size=batch_size, seed=seed, flip=True)
    steps = -(-num_images * epochs // batch_size)
    seen = [index for step in range(steps) for index, _ in order.at_step(step)]
    for epoch in range(epochs):
        part = seen[epoch * num_images : (epoch + 1) * num_images]
        assert sorted(part) == list(range(num_images))


def test_half_of_the_images_are_mirrored_unless_switched_off():
    flips = [
        f for s in range(50) for _, f in StreamOrder(8, batch_size=8, seed=0, flip=True).at_step(s)
    ]
    assert 0.4 < np.mean(flips) < 0.6
    plain = StreamOrder(8, batch_size=8, seed=0, flip=False)
    assert not any(f for s in range(9) for _, f in plain.at_step(s))


def test_broken_images_are_all_named_before_the_first_step(tmp_path):
    write_celeba(tmp_path, 5, size=32)
    (tmp_path / "images" / "000002.png").write_bytes(b"")
    (tmp_path / "images" / "000004.png").unlink()
    source = opened("celeba", tmp_path, attributes=("Male",), scheme="none")
    with pytest.raises(DataError) as caught:
        BatchLoader(source, CONFIG, batch_size=2, seed=0)
    message = str(caught.value)
    assert "2 image(s) cannot be read" in message
    assert "000002.png" in message
    assert "000004.png" in message


def test_broken_images_can_be_left_out(tmp_path):
    write_celeba(tmp_path, 6, size=32)
    source = opened("celeba", tmp_path, attributes=("Male",), scheme="none")
    whole = take(BatchLoader(source, CONFIG, batch_size=6, seed=3), 0, 1)[0]["image"]
    (tmp_path / "images" / "000002.png").write_bytes(b"")
    (tmp_path / "images" / "000005.png").unlink()
    config = replace(CONFIG, skip_broken=True)
    loader = BatchLoader(source, config, batch_size=4, seed=3)
    assert loader.notice == ("left out 2 of 6 images, which cannot be read: 000002.png; 000005.png")
    broken = {1, 4}
    order = [index for index, _ in StreamOrder(6, batch_size=6, seed=3, flip=True).at_step(0)]
    kept = [row for row, index in enumerate(order) if index not in broken]
    assert torch.equal(take(loader, 0, 1)[0]["image"], whole[kept])
    assert len(first_images(source, config, 6)["image"]) == 4


def test_left_out_images_are_not_read_again(tmp_path):
    write_celeba(tmp_path, 4, size=32)
    (tmp_path / "images" / "000003.png").unlink()
    source = opened("celeba", tmp_path, attributes=("Male",), scheme="none")
    config = replace(CONFIG, skip_broken=True, cache_mib=0)
    assert len(take(BatchLoader(source, config, batch_size=3, seed=0), 0, 5)) == 5


def test_without_one_whole_image_nothing_starts(tmp_path):
    write_celeba(tmp_path, 2, size=32)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"no image")
    source = opened("celeba", tmp_path, attributes=("Male",), scheme="none")
    config = replace(CONFIG, skip_broken=True)
    with pytest.raises(DataError, match="no image can be read"):
        BatchLoader(source, config, batch_size=2, seed=0)
    with pytest.raises(DataError, match="no image of"):
        first_images(source, config, 2)
    with pytest.raises(DataError, match=r"000001\.png is not an image"):
        first_images(source, CONFIG, 2)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "P"])
def test_grey_images_among_colour_ones(tmp_path, write_images, mode):
    write_images(tmp_path, ["a/1.png", "b/2.png"], size=(40, 40))
    write_images(tmp_path, ["b/3.png"], size=(40, 40), mode="L")
    with Image.open(tmp_path / "b" / "3.png") as grey:
        grey.convert(mode).save(tmp_path / "b" / "3.png")
    source = open_source(DataConfig(root=str(tmp_path)), "train")
    (batch,) = take(BatchLoader(source, CONFIG, batch_size=3, seed=0), 0, 1)
    spread = (batch["image"].amax(1) - batch["image"].amin(1)).amax((1, 2))
    assert batch["image"].shape == (3, 3, 32, 32)
    assert sorted(spread.tolist()) == [0, 190, 190]


def test_a_batch_is_of_one_set(tmp_path, write_images):
    write_images(tmp_path, ["a/1.png", "a/2.png", "b/3.png"], size=(40, 40))
    sets = {"faces": SetConfig(kind="synthetic"), "moods": SetConfig(root=str(tmp_path))}
    config = replace(CONFIG, sets=sets)
    source = open_source(config, "train")
    loader = BatchLoader(source, config, batch_size=4, seed=0, round_steps=2)
    masks = [batch["label"][:, -2:] for batch in take(loader, 0, 8)]
    assert all(torch.equal(mask, mask[:1].expand(4, 2)) for mask in masks)
    assert [mask[0].argmax().item() for mask in masks] == [0, 1, 1, 0] * 2
    again = take(loader, 5, 1)[0]
    expected = take(loader, 0, 6)[5]
    assert torch.equal(again["image"], expected["image"])
    assert torch.equal(again["label"], expected["label"])


def test_of_several_sets_none_may_be_wholly_broken(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(b"")
    sets = {"faces": SetConfig(kind="synthetic"), "moods": SetConfig(root=str(tmp_path))}
    config = replace(CONFIG, sets=sets, skip_broken=True)
    with pytest.raises(DataError, match="no image can be read"):
        BatchLoader(open_source(config, "train"), config, batch_size=4, seed=0)


def test_the_model_range():
    assert to_model_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_sample_images_are_prepared_alike():
    source = open_source(CONFIG, "test")
    batch = first_images(source, CONFIG, 3)
    assert batch["image"].shape == (3, 3, 32, 32)
    picture = source.load(0).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(batch["image"][0].permute(1, 2, 0).numpy(), np.asarray(picture))


def test_a_range_of_values_holds_for_all_images_of_a_set(tmp_path):
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64)
    for number in range(2):
        Image.fromarray((ramp / (number + 1)).astype(np.uint16)).save(tmp_path / f"{number}.png")
    config = DataConfig(kind="plain", root=str(tmp_path), image_size=64, crop_size=0, flip=False)
    loader = open_loader(open_source(config, "train"), config, batch_size=2, seed=0)
    assert "use less than a tenth of the range of their type: 2 of 2 images" in loader.notice
    ranged = replace(config, range=(0.0, 4095.0))
    source = open_source(ranged, "train")
    assert [np.asarray(source.load(index)).max() for index in range(2)] == [255, 127]
    assert not open_loader(source, ranged, batch_size=2, seed=0).notice
    assert any("less than a tenth" in remark for remark in check_folder(tmp_path).remarks)
    with pytest.raises(ConfigError, match="range must be two rising numbers"):
        from_mapping(DataConfig, {"range": [5, 1]})
