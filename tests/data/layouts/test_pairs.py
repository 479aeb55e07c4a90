"""Pairs of any shape, in one file or in two folders."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.data.batches.loading import first_images
from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.inspect.check import check_folder
from stargan_deploy.data.layouts.paired import pair_folders
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import DataError, ImageError
from stargan_deploy.files.images import half_of_pair, is_pair

RED, GREEN = (200, 0, 0), (0, 200, 0)


def save(path, size=(16, 16), colour=RED):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, quality=100)


def config(root, **changes):
    return DataConfig(
        **({"kind": "paired", "root": str(root), "image_size": 8, "crop_size": 0} | changes)
    )


def colours(settings, split="train"):
    """Colours of input and output of the first pair."""
    batch = first_images(open_source(settings, split), settings, 1)
    means = {name: batch[name][0].float().mean((1, 2)).tolist() for name in ("condition", "image")}
    return {name: "red" if mean[0] > mean[1] else "green" for name, mean in means.items()}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("A", "B"),
        ("a", "b"),
        ("trainA", "trainB"),
        ("train_A", "train_B"),
        ("A-train", "B-train"),
        ("Train A", "Train B"),
        ("train/A", "train/B"),
        ("A/train", "B/train"),
        ("A/Training", "B/training"),
        ("input", "output"),
        ("train/photos", "train/sketches"),
    ],
)
@pytest.mark.parametrize("endings", [("png", "jpg"), ("webp", "PNG")])
def test_two_folders_of_equal_names(tmp_path, a, b, endings):
    for number in range(3):
        save(tmp_path / a / f"{number}.{endings[0]}", colour=RED)
        save(tmp_path / b / f"{number}.{endings[1]}", colour=GREEN)
    assert colours(config(tmp_path)) == {"condition": "green", "image": "red"}
    assert colours(config(tmp_path, condition="left")) == {"condition": "red", "image": "green"}
    source = open_source(config(tmp_path), "train")
    assert (len(source), source.pair_ratio) == (3, None)
    (note,) = source.notes
    assert note.startswith("pairs by their names: ")
    assert note.endswith("data.condition=left turns them round")
    report = check_folder(tmp_path, kind="paired")
    assert (report.num_images, report.broken, report.problems) == (3, (), ())
    assert [remark for remark in report.remarks if "partner" in remark] == []


@pytest.mark.parametrize("form", ["{}A {}B", "{}_A {}_B", "{}/A {}/B", "A/{} B/{}"])
@pytest.mark.parametrize("held_out", ["test", "val"])
def test_held_out_pairs(tmp_path, form, held_out):
    for split, number in (("train", 3), (held_out, 2)):
        for folder, colour in zip(form.split(), (RED, GREEN), strict=True):
            for n in range(number):
                save(tmp_path / folder.format(split) / f"{split}{n}.png", colour=colour)
    assert len(open_source(config(tmp_path), "train")) == 3
    assert open_source(config(tmp_path), "test").name(0).endswith(f"{held_out}0.png")
    parts = check_folder(tmp_path, kind="paired").parts
    assert [(part.split, part.num_images) for part in parts] == [("train", 3), (held_out, 2)]


def test_files_without_a_partner_are_left_out_and_counted(tmp_path):
    for name in ("1.png", "2.png", "sub/3.png"):
        save(tmp_path / "A" / name)
    for name in ("2.jpg", "sub/3.jpg", "4.jpg", "3.jpg"):
        save(tmp_path / "B" / name)
    source = open_source(config(tmp_path), "train")
    assert source.names == ["A/2.png", "A/sub/3.png"]
    assert "left out 3 files without a partner, such as " in source.notes[0]
    assert source.notes[0] in check_folder(tmp_path, kind="paired").remarks


def test_no_pairs_and_ambiguous_names_are_refused(tmp_path):
    save(tmp_path / "A" / "1.png")
    save(tmp_path / "B" / "2.png")
    with pytest.raises(DataError, match=r"has the name of one in .*B.*; give both files of a pair"):
        open_source(config(tmp_path), "train")
    save(tmp_path / "B" / "1.png")
    save(tmp_path / "B" / "1.webp")
    with pytest.raises(DataError, match=r"1\.png and .*1\.webp have one name"):
        open_source(config(tmp_path), "train")


def test_two_folders_of_other_names_are_no_pairs(tmp_path):
    for number in range(4):
        save(tmp_path / "happy" / f"h{number}.png", (32, 16))
        save(tmp_path / "sad" / f"s{number}.png", (32, 16))
    assert pair_folders(tmp_path) == {}
    assert open_source(config(tmp_path), "train").pair_ratio == 2.0


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ((16, 16), (32, 32), True),
        ((24, 16), (12, 8), True),
        ((25, 16), (50, 33), True),
        ((16, 30), (16, 30), True),
        ((16, 16), (16, 20), False),
        ((16, 30), (30, 16), False),
    ],
)
def test_both_images_of_a_pair_have_one_shape(tmp_path, first, second, fits):
    save(tmp_path / "A" / "1.png", first, RED)
    save(tmp_path / "B" / "1.png", second, GREEN)
    source = open_source(config(tmp_path), "train")
    if fits:
        left, right = (half_of_pair(source.load(0), s, None) for s in ("left", "right"))
        width, height = max(first, second)
        assert source.load(0).size == (2 * width, height)
        assert left is not None
        assert right is not None
        return
    with pytest.raises(ImageError, match="and its partner differ in shape: "):
        source.load(0)


def halves(size):
    pair = Image.new("RGB", size, RED)
    half = size[0] // 2
    pair.paste(GREEN, (size[0] - half, 0, *size))
    return pair


@pytest.mark.parametrize("size", [(32, 16), (33, 16), (31, 16), (48, 16), (24, 16), (25, 16)])
def test_halves_of_any_shape_with_a_pixel_of_rounding(tmp_path, size):
    for number in range(2):
        halves(size).save(tmp_path / f"{number}.png")
    settings = config(tmp_path)
    source = open_source(settings, "train")
    batch = first_images(source, settings, 1)
    assert np.unique(batch["image"][0, 0]).tolist() == [200]
    assert np.unique(batch["condition"][0, 1]).tolist() == [200]
    are_squares = abs(size[0] - 2 * size[1]) <= 1
    assert bool(source.notes) == (not are_squares)
    assert is_pair(halves(size), source.pair_ratio)
    taken = half_of_pair(halves(size), "right", source.pair_ratio)
    assert np.unique(np.asarray(taken)[..., 0]).tolist() == [0]
    assert check_folder(tmp_path).layout == ("paired" if are_squares else "images")
    assert check_folder(tmp_path, kind="paired").broken == ()


def test_single_images_are_refused_with_the_way_out(tmp_path):
    save(tmp_path / "1.png", (20, 30))
    with pytest.raises(DataError, match="wider than high; pairs of other shapes go in two folders"):
        open_source(config(tmp_path), "train")


def test_deep_images_of_two_folders_have_one_scale(tmp_path):
    for folder, top in (("A", 4095), ("B", 2047)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((8, 8), top, np.uint16)).save(tmp_path / folder / "1.png")
    pair = open_source(replace(config(tmp_path), range=(0, 4095)), "train").load(0)
    assert [pair.getpixel((x, 0))[0] for x in (0, 8)] == [255, 127]
