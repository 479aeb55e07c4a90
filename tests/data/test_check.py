import pytest
from PIL import Image

from stargan_deploy.config import to_mapping
from stargan_deploy.data.check import Size, check_folder
from stargan_deploy.data.synthetic import SyntheticFaces, write_celeba
from stargan_deploy.errors import DataError, LabelError


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
