from dataclasses import replace

import pytest

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import ConfigError, DataError, LabelError
from tests.data.opened import layout_of, opened

NAMES = [f"{number}.png" for number in range(40)]


def write_csv(path, names=NAMES, header="file,Blond_Hair,Male,Black_Hair"):
    rows = [
        f"{name},{number % 2},{-1 if number % 3 else 1},false" for number, name in enumerate(names)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]))


@pytest.mark.parametrize("folder", [".", "images", "img_align_celeba/img_align_celeba"])
def test_images_beside_the_csv_or_in_a_folder(tmp_path, write_images, folder):
    write_csv(tmp_path / "labels.csv")
    write_images(tmp_path / folder, NAMES)
    source = opened("csv", tmp_path, scheme="none")
    assert source.load(3).size == (8, 8)
    assert source.label_space.names == ("Blond_Hair", "Male", "Black_Hair")
    assert source.label_space.sets[0].exclusive_groups == (("Blond_Hair", "Black_Hair"),)
    assert source.labels[:4].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_chosen_columns_in_their_order(tmp_path, write_images):
    write_csv(tmp_path / "labels.csv", header="file,A,Note,B")
    write_images(tmp_path, NAMES)
    assert opened("csv", tmp_path / "labels.csv", attributes=("B", "A")).label_space.names == (
        "B",
        "A",
    )
    with pytest.raises(LabelError, match="unknown attribute 'C'"):
        opened("csv", tmp_path, attributes=("C",))


def test_a_tenth_is_held_out_and_of_few_rows_none(tmp_path, write_images):
    write_csv(tmp_path / "labels.csv")
    write_images(tmp_path, NAMES)
    train, test = opened("csv", tmp_path), opened("csv", tmp_path, split="test")
    assert (len(train), len(test)) == (36, 4)
    assert sorted(train.names + test.names) == sorted(NAMES)
    write_csv(tmp_path / "labels.csv", NAMES[:9])
    assert opened("csv", tmp_path).names == opened("csv", tmp_path, split="test").names == NAMES[:9]


def test_the_layout_is_recognised(tmp_path, write_images):
    write_images(tmp_path / "data", ["happy/1.png", "sad/2.png"])
    config = DataConfig(root=str(tmp_path / "data"))
    assert layout_of(config) == "folders"
    (tmp_path / "data" / "notes.csv").write_text("when,what\n1,2\n")
    assert layout_of(config) == "folders"
    write_csv(tmp_path / "data" / "notes.csv", ["happy/1.png", "sad/2.png"])
    assert layout_of(config) == "csv"
    file = DataConfig(root=str(tmp_path / "data" / "notes.csv"))
    assert open_source(file, "train").description == "notes.csv"
    (tmp_path / "data" / "list_attr.txt").write_text("1\nMale\nhappy/1.png 1\n")
    celeba = DataConfig(root=str(tmp_path / "data"), attributes=("Male",), split="none")
    assert layout_of(celeba) == "celeba"


def test_of_several_csvs_the_attribute_list_is_taken(tmp_path, write_images):
    write_csv(tmp_path / "list_attr_celeba.csv", header="image_id,A,B,C")
    write_csv(tmp_path / "list_bbox_celeba.csv", header="image_id,x,y,z")
    write_images(tmp_path, NAMES)
    source = open_source(DataConfig(root=str(tmp_path)), "train")
    assert source.label_space.names == ("A", "B", "C")


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "found none"),
        ({"a.csv": "file,A\n1.png,1", "b.csv": "file,A\n1.png,1"}, r"found a\.csv, b\.csv"),
        ({"a.csv": "when,A\n1.png,1"}, "does not hold exactly one CSV"),
        ({"a.csv": "file,A\nnone.png,1"}, r"none of its first 1 files \('none\.png', \.\.\.\)"),
        ({"a.csv": "file,A\n" + "x" * 5000 + ",1"}, "none of its first 1 files"),
        ({"a.csv": "file,A\na\0b.png,1"}, "none of its first 1 files"),
        ({"a.csv": "file,A,\n1.png,1,1"}, "does not name its columns"),
        ({"a.csv": "file,\n"}, "holds no labels"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, files, complaint):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=complaint):
        open_source(DataConfig(kind="csv", root=str(tmp_path)), "train")


@pytest.mark.parametrize("root", ["none.csv", "x" * 5000, "a\0b"])
@pytest.mark.parametrize("kind", ["csv", "auto", "celeba", "folders"])
def test_a_root_that_is_not_there(tmp_path, root, kind):
    with pytest.raises(DataError, match="no such data folder"):
        open_source(DataConfig(kind=kind, root=str(tmp_path / root)), "train")


def test_groups_of_a_recipe_and_of_the_csv_itself_exclude_one_another(tmp_path, write_images):
    write_images(tmp_path, NAMES)
    write_csv(tmp_path / "labels.csv", header="file,Bald,Bangs,Cap,Hat")
    lines = (tmp_path / "labels.csv").read_text().replace(",false", ",false,0").splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(["# Exclusive: cap, HAT", "# more", *lines]))
    config = DataConfig(root=str(tmp_path), exclusive=(("bald", "Bangs"),))
    (only,) = open_source(config, "train").label_space.sets
    assert only.exclusive_groups == (("Bald", "Bangs"), ("Cap", "Hat"))
    few = replace(config, attributes=("Hat", "Bald", "Bangs"))
    assert open_source(few, "train").label_space.sets[0].exclusive_groups == (("Bald", "Bangs"),)
    with pytest.raises(LabelError, match="unknown label in an exclusive group 'Beard'"):
        open_source(replace(config, exclusive=(("Bald", "Beard"),)), "train")


def test_lines_are_counted_with_the_comments(tmp_path):
    (tmp_path / "labels.csv").write_text("# exclusive: A,B\nfile,A,B\n1.png,1,0\n2.png,7,0\n")
    with pytest.raises(DataError, match="line 4: A is '7'"):
        LabelFile(tmp_path / "labels.csv").read(["A"])


def test_domains_take_no_groups(tmp_path, write_images):
    write_images(tmp_path, ["happy/1.png", "sad/2.png"])
    with pytest.raises(ConfigError, match="groups attributes, and 'folders' images have none"):
        open_source(DataConfig(root=str(tmp_path), exclusive=(("happy", "sad"),)), "train")


@pytest.mark.parametrize(
    ("num_rows", "num_held_out", "said"),
    [(5, 0, "none is held out"), (20, 2, "2 of them, drawn at random"), (4000, 1999, "")],
)
def test_a_list_too_short_for_the_official_split(
    tmp_path, write_images, num_rows, num_held_out, said
):
    """It once was refused."""
    names = [f"{number}.png" for number in range(num_rows)]
    rows = "".join(f"{name} {1 if number % 2 else -1}\n" for number, name in enumerate(names))
    (tmp_path / "list_attr_celeba.txt").write_text(f"{num_rows}\nMale\n{rows}")
    write_images(tmp_path / "images", names[:3])
    config = DataConfig(root=str(tmp_path), attributes=("Male",))
    train, test = (open_source(config, split) for split in ("train", "test"))
    assert len(train) == num_rows - num_held_out
    assert len(test) == (num_held_out or num_rows)
    assert num_held_out == 0 or not set(train.names) & set(test.names)
    assert any(said in note for note in train.notes) == bool(said)
