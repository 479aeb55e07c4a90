import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stargan_deploy.config import to_mapping
from stargan_deploy.data.inspect.check import Size, check_folder
from stargan_deploy.data.layouts.synthetic import SyntheticFaces, write_celeba
from stargan_deploy.errors import ConfigError, DataError, LabelError
from tests.tiny_families import save_noise, write_digits, write_domains, write_idx, write_pairs


def test_celeba_s_layout(tmp_path):
    write_celeba(tmp_path, 12, size=32)
    seen = []
    report = check_folder(tmp_path, progress=lambda done, total: seen.append((done, total)))
    labels = SyntheticFaces(12).labels
    assert (report.layout, report.num_images, report.broken) == ("celeba", 12, ())
    assert list(report.labels.values()) == labels.sum(axis=0).tolist()
    both = (labels[:, 3] * labels[:, 4]).sum()
    assert report.together["Male"]["Young"] == report.together["Young"]["Male"] == both
    assert report.sizes == (Size(width=32, height=32, num_images=12),)
    assert seen == [(number, 12) for number in range(1, 13)]
    assert to_mapping(report)["layout"] == "celeba"


def test_chosen_attributes(tmp_path):
    write_celeba(tmp_path, 3, size=32)
    assert list(check_folder(tmp_path, attributes=["Young", "Male"]).labels) == ["Young", "Male"]
    with pytest.raises(LabelError, match="did you mean 'Male'"):
        check_folder(tmp_path, attributes=["Mail"])


def test_what_is_wrong_with_a_list(tmp_path):
    write_celeba(tmp_path, 4, size=32)
    table = tmp_path / "list_attr_celeba.txt"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[2]]))
    (tmp_path / "images" / "000002.png").write_bytes(b"")
    (tmp_path / "images" / "000003.png").unlink()
    report = check_folder(tmp_path)
    assert report.num_images == 3
    assert report.remarks == (
        "1 images have no row, such as 000004.png",
        "1 rows name an image that an earlier row names",
    )
    assert [image.file[-10:] for image in report.broken] == ["000002.png", "000003.png"]
    table.write_text("\n".join(lines[:-1]))
    assert check_folder(tmp_path).remarks[0] == (
        "list_attr_celeba.txt has 3 rows, and says 4: is it whole?"
    )


def test_folders_with_grey_and_colour(tmp_path, write_images):
    write_images(tmp_path, ["train/a/1.png", "train/b/2.png", "test/a/3.png"], size=(20, 10))
    write_images(tmp_path, ["test/b/4.png"], size=(8, 30), mode="L")
    write_images(tmp_path, ["stray.png"])
    report = check_folder(tmp_path)
    assert (report.layout, report.labels) == ("folders", {"a": 2, "b": 2})
    assert (report.num_colour, report.num_grey) == (3, 1)
    assert report.sizes[0] == Size(width=20, height=10, num_images=3)
    assert (report.smallest.width, report.largest.width) == (20, 8)
    assert report.remarks == (f"1 images belong to no domain, such as {tmp_path / 'stray.png'}",)


def test_a_csv(tmp_path, write_images):
    write_images(tmp_path, ["images/1.png", "images/2.png"])
    (tmp_path / "labels.csv").write_text("file,A,B\n1.png,1,1\n2.png,1,0\n")
    report = check_folder(tmp_path / "labels.csv")
    assert (report.layout, report.labels) == ("csv", {"A": 2, "B": 1})
    assert report.together == {"A": {"A": 2, "B": 1}, "B": {"A": 1, "B": 1}}


def test_images_without_labels(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "sub/2.png"])
    report = check_folder(tmp_path)
    assert (report.layout, report.num_images, report.labels) == ("images", 2, {})
    with pytest.raises(DataError, match="neither in CelebA's layout"):
        check_folder(tmp_path, attributes=["a"])


def test_nothing_at_all(tmp_path):
    with pytest.raises(DataError, match="neither in CelebA's layout"):
        check_folder(tmp_path)
    with pytest.raises(DataError, match="no such data folder"):
        check_folder(tmp_path / "none")


def test_nothing_readable(tmp_path):
    (tmp_path / "1.png").write_bytes(b"none")
    report = check_folder(tmp_path)
    assert (report.smallest, report.largest, len(report.broken)) == (None, None, 1)


def test_grey_stored_in_colour_is_grey(tmp_path):
    Image.new("L", (8, 8), 77).convert("RGB").save(tmp_path / "1.png")
    assert check_folder(tmp_path).num_grey == 1


def parts_of(report):
    """Split, domain and number of images of each part."""
    return [(part.split, part.domain, part.num_images) for part in report.parts]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_s_files_are_recognised_and_counted_by_class_and_split(tmp_path, suffix):
    write_digits(tmp_path / "mnist", suffix=suffix)
    write_idx(tmp_path / "mnist" / f"t10k-labels-idx1-ubyte{suffix}", np.zeros(12, np.uint8))
    report = check_folder(tmp_path / "mnist")
    assert (report.layout, report.num_images, report.num_grey) == ("idx", 24, 24)
    assert report.sizes == (Size(width=28, height=28, num_images=24),)
    assert report.labels == {"0": 16, "1": 4, "2": 4}
    assert parts_of(report) == [("train", "", 12), ("test", "", 12)]
    assert [part.labels["1"] for part in report.parts] == [4, 0]
    assert (report.broken, report.remarks, report.problems) == ((), (), ())


def test_some_classes_of_mnist(tmp_path):
    write_digits(tmp_path / "mnist")
    report = check_folder(tmp_path / "mnist", attributes=["2", "0"])
    assert list(report.labels.items()) == [("2", 8), ("0", 8)]
    with pytest.raises(LabelError, match="unknown class '7'"):
        check_folder(tmp_path / "mnist", attributes=["7"])


def test_classes_that_training_lacks_are_remarked(tmp_path):
    write_digits(tmp_path / "mnist")
    write_idx(tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz", np.arange(12, dtype=np.uint8))
    report = check_folder(tmp_path / "mnist")
    assert parts_of(report) == [("train", "", 12), ("test", "", 3)]
    assert report.remarks == ("9 test images are left out, whose classes do not occur in training",)
    assert check_folder(tmp_path / "mnist", attributes=["1"]).remarks == ()


def test_each_fault_of_mnist_s_files_is_a_line(tmp_path):
    folder = tmp_path / "mnist"
    write_digits(folder)
    cut, wrong = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    wrong.write_bytes(gzip.compress(b"none of these"))
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    report = check_folder(folder)
    assert (report.layout, report.num_images, report.parts) == ("idx", 0, ())
    assert [problem.split(": ")[0].split(",")[0] for problem in report.problems] == [
        f"{wrong} is not an IDX file of unsigned bytes in 1 dimension(s)",
        f"{cut} cannot be read",
        f"{folder} holds no t10k-labels-idx1-ubyte",
    ]


def test_labels_of_another_number_spoil_their_split_alone(tmp_path):
    write_digits(tmp_path / "mnist")
    write_idx(tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz", np.zeros(5, np.uint8))
    report = check_folder(tmp_path / "mnist")
    assert parts_of(report) == [("train", "", 12)]
    assert report.problems == (f"{tmp_path / 'mnist'} has 12 test images, but 5 labels",)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["train-images-idx3", "train-labels-idx1", "t10k-images-idx3"]),
    suffix=st.sampled_from(["", ".gz"]),
    start=st.integers(0, 40),
    patch=st.binary(max_size=12),
    end=st.none() | st.integers(0, 60),
)
def test_hostile_mnist_files_are_lines(tmp_path_factory, name, suffix, start, patch, end):
    folder = tmp_path_factory.mktemp("hostile") / "mnist"
    write_digits(folder, count=3, suffix=suffix)
    path = folder / f"{name}-ubyte{suffix}"
    whole = path.read_bytes()
    path.write_bytes((whole[:start] + patch + whole[start + len(patch) :])[:end])
    report = check_folder(folder)
    assert report.problems or report.remarks or report.num_images == 6
    assert not any("\n" in problem for problem in report.problems)


def test_pairs_are_recognised_by_their_shape(tmp_path):
    write_pairs(tmp_path)
    save_noise(tmp_path / "test" / "a.png", 64, 32)
    report = check_folder(tmp_path)
    assert (report.layout, report.num_images) == ("paired", 10)
    assert parts_of(report) == [("train", "", 8), ("val", "", 1), ("test", "", 1)]
    assert report.sizes[0] == Size(width=64, height=64, num_images=9)
    assert report.parts[2].sizes == (Size(width=32, height=32, num_images=1),)
    assert (report.remarks, report.problems) == ((), ())


def test_files_that_are_no_pairs_are_broken_ones(tmp_path):
    write_pairs(tmp_path)
    save_noise(tmp_path / "train" / "single.png", 64, 100)
    (tmp_path / "val" / "9.png").write_bytes(b"nothing")
    save_noise(tmp_path / "stray.png", 8, 8)
    report = check_folder(tmp_path)
    assert (report.layout, report.remarks) == (
        "images",
        (
            "8 of 11 images are twice as wide as high: if they are pairs, check them with "
            "`kind` paired",
        ),
    )
    report = check_folder(tmp_path, kind="paired")
    assert [image.reason for image in report.broken] == [
        f"{tmp_path / 'train' / 'single.png'} is 64x100, and a pair is two images side by side, "
        "wider than high; pairs of other shapes go in two folders, A and B",
        f"{tmp_path / 'val' / '9.png'} is not an image that can be read",
    ]
    assert [part.num_broken for part in report.parts] == [1, 1]
    assert report.remarks == (f"1 images are used by no split, such as {tmp_path / 'stray.png'}",)


def test_pairs_in_one_folder_serve_for_both(tmp_path):
    save_noise(tmp_path / "a.png", 16, 8)
    report = check_folder(tmp_path)
    assert (report.layout, parts_of(report)) == ("paired", [("train", "", 1)])
    assert report.remarks == ("no images are held out: those of training serve for both",)


def test_a_split_without_pairs_is_a_problem(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "test").mkdir()
    report = check_folder(tmp_path, kind="paired")
    assert parts_of(report) == [("train", "", 8), ("val", "", 1)]
    assert report.problems == (f"{tmp_path / 'test'} holds no images",)


def test_cyclegan_s_folders_are_recognised(tmp_path):
    for number, name in enumerate(["trainA", "trainA", "trainB", "testA", "testB"]):
        save_noise(tmp_path / name / f"{number}.png", 20, 10 + number)
    report = check_folder(tmp_path)
    assert (report.layout, report.num_images) == ("unpaired", 5)
    assert parts_of(report) == [
        ("train", "A", 2),
        ("train", "B", 1),
        ("test", "A", 1),
        ("test", "B", 1),
    ]
    assert report.parts[3].sizes == (Size(width=20, height=14, num_images=1),)
    assert (report.labels, report.remarks, report.problems) == ({}, (), ())
    assert check_folder(tmp_path, attributes=["photo", "vangogh"]) == report


def test_missing_and_empty_domains_are_problems(tmp_path):
    save_noise(tmp_path / "trainA" / "0.png", 20, 20)
    (tmp_path / "testB").mkdir()
    report = check_folder(tmp_path)
    assert (report.layout, parts_of(report)) == ("unpaired", [("train", "A", 1)])
    assert report.problems == (
        f"there is no folder {tmp_path / 'trainB'}; two domains are needed, A and B",
        f"there is no folder {tmp_path / 'testA'}; two domains are needed, A and B",
        f"{tmp_path / 'testB'} holds no images; two domains are needed, a folder for each",
    )


def test_two_folders_are_domains_without_pairs_where_that_is_said(tmp_path):
    write_domains(tmp_path)
    assert check_folder(tmp_path).layout == "folders"
    report = check_folder(tmp_path, kind="unpaired", attributes=["photo", "monet"])
    assert [part.folder[-11:] for part in report.parts[:2]] == ["train/photo", "train/monet"]
    assert [part.num_images for part in report.parts] == [5, 3, 1, 1]
    save_noise(tmp_path / "train" / "ukiyoe" / "0.png", 20, 20)
    report = check_folder(tmp_path, kind="unpaired")
    assert parts_of(report) == [("test", "A", 1), ("test", "B", 1)]
    assert "has 3 (monet, photo, ukiyoe); name A and B" in report.problems[0]


def test_plain_images_say_what_is_held_out(tmp_path, write_images):
    write_images(tmp_path, [f"{number:02}.png" for number in range(45)])
    report = check_folder(tmp_path, kind="plain")
    assert (report.layout, parts_of(report)) == ("plain", [("train", "", 42), ("test", "", 3)])
    (tmp_path / "few").mkdir()
    write_images(tmp_path / "few", ["a.png", "b.png"])
    report = check_folder(tmp_path / "few", kind="plain")
    assert parts_of(report) == [("train", "", 2)]
    assert report.remarks == ("no images are held out: those of training serve for both",)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("celeba", "holds no list_attr"),
        ("csv", "does not hold exactly one CSV"),
        ("folders", "neither in CelebA's layout"),
        ("idx", "it is not MNIST's layout"),
        ("plain", "holds no images"),
        ("paired", "holds no images"),
        ("unpaired", "two domains are needed"),
    ],
)
def test_a_folder_that_has_nothing_of_its_kind_is_refused(tmp_path, kind, complaint):
    with pytest.raises(DataError, match=complaint):
        check_folder(tmp_path, kind=kind)
    with pytest.raises(DataError, match="no such data folder"):
        check_folder(tmp_path / "none", kind=kind)


def test_kinds_without_attributes_refuse_them(tmp_path):
    for kind in ("plain", "paired"):
        with pytest.raises(ConfigError, match=f"'{kind}' images have no attributes"):
            check_folder(tmp_path, kind=kind, attributes=["a"])


def test_a_kind_that_is_told_is_not_looked_for(tmp_path):
    write_celeba(tmp_path, 4, size=32)
    report = check_folder(tmp_path, kind="plain")
    assert (report.layout, report.num_images, report.labels) == ("plain", 4, {})
    assert check_folder(tmp_path, kind="celeba") == check_folder(tmp_path)
