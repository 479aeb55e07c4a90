from pathlib import PurePosixPath

import pytest

from stargan_deploy.card.labels import LabelSpace, multilabel_space, onehot_space
from stargan_deploy.errors import DataError
from stargan_deploy.inference.source_labels import needed_names, read_label_table

SPACE = multilabel_space(("Black_Hair", "Male", "Young"))


def read(tmp_path, content, *, space=SPACE, needed=SPACE.names):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_label_table(path, space, needed=needed)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_in_any_column_order(tmp_path, ending):
    lines = ["file,Young,Other,Male,Black_Hair", "a.jpg,1,0,-1,0", '"sub/b, c.png",0,1,1,+1', ""]
    table = read(tmp_path, ending.join(lines))
    assert table.find(PurePosixPath("a.jpg")).tolist() == [0, 0, 1]
    assert table.find(PurePosixPath("sub/b, c.png")).tolist() == [1, 1, 0]


def test_the_celeba_layout(tmp_path):
    table = read(tmp_path, "1\nMale Young Black_Hair\n000001.jpg  1 -1 -1\n")
    assert table.find(PurePosixPath("any/folder/000001.jpg")).tolist() == [0, 1, 0]


def test_a_relative_path_goes_before_a_bare_name(tmp_path):
    rows = "file,Black_Hair,Male,Young\na.jpg,0,0,0\nx\\a.jpg,1,1,1\n./y/a.jpg,0,1,0\n"
    table = read(tmp_path, rows)
    assert table.find(PurePosixPath("x/a.jpg")).tolist() == [1, 1, 1]
    assert table.find(PurePosixPath("y/a.jpg")).tolist() == [0, 1, 0]
    assert table.find(PurePosixPath("z/a.jpg")).tolist() == [0, 0, 0]
    assert table.find(PurePosixPath("b.jpg")) is None


def test_a_byte_order_mark_is_passed_over(tmp_path):
    table = read(tmp_path, b"\xef\xbb\xbffile,Black_Hair,Male,Young\na.jpg,1,0,0\n")
    assert table.find(PurePosixPath("a.jpg")).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no labels"),
        ("file,Black_Hair,Male,Young\n", "holds no labels"),
        ("file,Black_Hair,Male\na.jpg,1,0\n", "no column 'Young'"),
        ("file,Black_Hair,Male,Young\na.jpg,1,0\n", "line 2 has 3 columns"),
        ("file,Black_Hair,Male,Young\na.jpg,1,0,maybe\n", "line 2: Young is 'maybe'"),
        ("file,Black_Hair,Male,Young\na.jpg,1,0,0\na.jpg,0,0,0\n", "in lines 2 and 3"),
        ('file,Black_Hair,Male,Young\n"a.jpg,1,0,0\n', "is not CSV"),
        ("2\nBlack_Hair Male Young\na.jpg 1 1\n", "line 3 has 3 columns"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint):
        read(tmp_path, content)


def test_a_missing_file_says_what_the_option_takes(tmp_path):
    with pytest.raises(DataError, match=r"predict, zeros, or a file"):
        read_label_table(tmp_path / "none.csv", SPACE, needed=())


def test_only_the_label_sets_of_the_targets_are_needed(tmp_path):
    joint = LabelSpace(sets=(SPACE.sets[0], onehot_space(["happy", "sad"]).sets[0]))
    male, happy = joint.parse("Male"), joint.parse("happy")
    assert needed_names(joint, [male, happy]) == SPACE.names
    assert needed_names(joint, [happy]) == ()
    rows = "file,Black_Hair,Male,Young\na.jpg,1,0,1\n"
    table = read(tmp_path, rows, space=joint, needed=SPACE.names)
    assert table.find(PurePosixPath("a.jpg")).tolist() == [1, 0, 1, 0, 0]
