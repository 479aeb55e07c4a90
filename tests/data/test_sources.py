import random

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import DataError, LabelError
from tests.data.opened import layout_of, opened

HEADER = "Black_Hair Blond_Hair Brown_Hair Male Young"


def write_list(folder, names, *, newline="\n", rows=None):
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows or [f"{name}  1 -1 -1  1 -1" for name in names]
    text = newline.join([str(len(rows)), HEADER, *rows]) + newline
    (folder / "list_attr_celeba.txt").write_bytes(text.encode())


def write_images(folder, names, size=(8, 8)):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (9, 9, 9)).save(folder / name)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("folder", ["images", "img_align_celeba", "photos"])
def test_celeba_with_either_line_ending_and_any_image_folder(tmp_path, newline, folder):
    names = ["000001.jpg", "000002.jpg"]
    write_list(tmp_path, names, newline=newline)
    write_images(tmp_path / folder, names)
    source = opened("celeba", tmp_path, attributes=("Young", "Male"), scheme="none")
    assert len(source) == 2
    assert source.labels.tolist() == [[0, 1], [0, 1]]
    assert source.label_space.names == ("Young", "Male")
    assert source.load(1).size == (8, 8)


def test_the_official_split_is_a_shuffle_seeded_1234_with_1999_held_out(tmp_path):
    names = [f"{i:06d}.jpg" for i in range(4005)]
    write_list(tmp_path, names)
    write_images(tmp_path / "images", names[:1])
    rows = list(names)
    random.seed(1234)
    random.shuffle(rows)
    assert opened("celeba", tmp_path, split="test").names == rows[:1999]
    assert opened("celeba", tmp_path, split="train").names == rows[1999:]


def test_a_set_far_smaller_than_the_official_test_part_is_trained_on_whole(tmp_path):
    write_list(tmp_path, ["1.jpg"])
    write_images(tmp_path / "images", ["1.jpg"])
    assert opened("celeba", tmp_path, split="train").names == ["1.jpg"]


def test_unknown_attributes_get_a_suggestion(tmp_path):
    write_list(tmp_path, ["1.jpg"])
    write_images(tmp_path / "images", ["1.jpg"])
    with pytest.raises(LabelError, match="did you mean 'Blond_Hair'"):
        opened("celeba", tmp_path, attributes=("Blonde_Hair",), scheme="none")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1.jpg 1 -1", "line 3 has 3 columns, but the header has 6"),
        ("1.jpg", "line 3 has 1 columns"),
        ("1.jpg 1 -1 -1 1 maybe", "line 3: Young is 'maybe'"),
    ],
)
def test_malformed_rows_are_named(tmp_path, row, complaint):
    write_list(tmp_path, [], rows=[row])
    write_images(tmp_path / "images", ["1.jpg"])
    with pytest.raises(DataError, match=complaint):
        opened("celeba", tmp_path, scheme="none")


@pytest.mark.parametrize("content", [b"", b"1\n", b"x\ny\nz\n", b"\xff\xfe\x00\n\n\n"])
def test_a_list_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "list_attr_celeba.txt").write_bytes(content)
    with pytest.raises(DataError, match="list_attr_celeba"):
        opened("celeba", tmp_path)


def test_a_list_without_images_is_refused(tmp_path):
    write_list(tmp_path, ["1.jpg"])
    with pytest.raises(DataError, match="no folder of images"):
        opened("celeba", tmp_path, scheme="none")


def test_one_folder_a_domain(tmp_path):
    write_images(tmp_path, ["happy/a.jpg", "sad/b.png", "sad/deep/c.jpg", "sad/.hidden.jpg"])
    (tmp_path / "notes").mkdir()
    source = opened("folders", tmp_path)
    assert source.label_space.names == ("happy", "sad")
    assert source.label_space.sets[0].kind == "onehot"
    assert source.labels.tolist() == [[1, 0], [0, 1], [0, 1]]


def test_train_and_test_folders_are_kept_apart(tmp_path):
    write_images(tmp_path, ["train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg", "test/b/4.jpg"])
    assert opened("folders", tmp_path, split="train").names == ["a/1.jpg", "b/2.jpg"]
    assert opened("folders", tmp_path, split="test").names == ["a/3.jpg", "b/4.jpg"]


def test_held_out_images_are_labelled_by_the_domains_of_the_training(tmp_path):
    write_images(tmp_path, ["train/a/1.jpg", "train/b/2.jpg", "train/c/3.jpg"])
    write_images(tmp_path, ["test/b/4.jpg", "test/z/5.jpg"])
    source = opened("folders", tmp_path, split="test")
    assert source.label_space.names == ("a", "b", "c")
    assert source.names == ["b/4.jpg"]
    assert source.labels.tolist() == [[0, 1, 0]]
    with pytest.raises(DataError, match="holds no images of a, c"):
        opened("folders", tmp_path, attributes=("a", "c"), split="test")


def test_chosen_domains_keep_their_order(tmp_path):
    write_images(tmp_path, ["a/1.jpg", "b/2.jpg", "c/3.jpg"])
    source = opened("folders", tmp_path, attributes=("c", "a"))
    assert source.label_space.names == ("c", "a")
    with pytest.raises(LabelError, match="unknown domain 'd'"):
        opened("folders", tmp_path, attributes=("d", "a"))


def test_a_folder_without_domains_is_refused(tmp_path):
    write_images(tmp_path, ["1.jpg", "2.jpg"])
    with pytest.raises(DataError, match="at least two folders"):
        opened("folders", tmp_path)


def test_the_layout_is_recognised(tmp_path):
    write_celeba(tmp_path / "celeba", 3, size=32)
    write_images(tmp_path / "folders", ["a/1.jpg", "b/2.jpg"])
    names = ("Blond_Hair", "Male")
    faces = DataConfig(root=str(tmp_path / "celeba"), attributes=names, split="none")
    assert layout_of(faces) == "celeba"
    assert layout_of(DataConfig(root=str(tmp_path / "folders"))) == "folders"
    assert open_source(DataConfig(), "train").description == "synthetic faces"
    with pytest.raises(DataError, match="no such data folder"):
        open_source(DataConfig(root=str(tmp_path / "none")), "train")


def test_synthetic_train_and_test_faces_differ():
    config = DataConfig(num_synthetic=4, image_size=32)
    train, test = open_source(config, "train"), open_source(config, "test")
    assert not np.array_equal(np.asarray(train.load(0)), np.asarray(test.load(0)))
