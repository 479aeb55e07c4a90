"""Label files as spreadsheets, pandas and data sets on the web have them."""

import json

import pytest

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.inspect.check import check_folder
from stargan_deploy.data.layouts.label_file import LabelFile
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import ConfigError, DataError, LabelError
from stargan_deploy.inference.source_labels import read_label_table
from tests.data.opened import layout_of, opened

WANTED = [[1, 0], [0, 1]]


def read(path, content, names=("Male", "Young")):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LabelFile(path).read(names)


@pytest.mark.parametrize(
    "text",
    [
        "file;Male;Young\n1.png;1;0\n2.png;0;1\n",
        "file\tMale\tYoung\n1.png\t1\t0\n2.png\t0\t1\n",
        "file|Male|Young\n1.png|1|0\n2.png|0|1\n",
        "sep=;\nfile;Male;Young\n1.png;1;0\n2.png;0;1\n",
        '"sep=|"\n\nfile|Male|Young\n1.png|1|0\n2.png|0|1\n',
        "file,Male,Young\n1.png,1.0,0.0\n2.png,-1.0,+1.0\n",
        "file;Male;Young\n1.png;1,0;0,0\n2.png;-1,0;1,00\n",
        "file,Male,Young\n1.png,yes,no\n2.png,No,YES\n",
        "file,Male,Young\n1.png,True,False\n2.png,f,t\n",
        "file, Male, Young\n1.png, 1, 0\n2.png, 0, 1\n",
        'file, "Male", "Young"\n"1.png", "1", "0"\n"2.png", "0", "1"\n',
        ",file,Male,Young\n0,1.png,1,0\n1,2.png,0,1\n",
        "Unnamed: 0.1,Unnamed: 0,file,Male,Young\n0,0,1.png,1,0\n1,1,2.png,0,1\n",
        "index;photo;Male;Young\n0;1.png;1;0\n1;2.png;0;1\n",
        "Male,Young,image_id\n1,0,1.png\n0,1,2.png\n",
        "\n\nfile,Male,Young\n1.png,1,0\n\n2.png,0,1\n",
        "2\nMale,Young\n1.png,1,-1\n2.png,-1,1\n",
        "2\nimage_id,Male,Young\n1.png,1,-1\n2.png,-1,1\n",
        "2,,\nimage_id,Male,Young\n1.png,1,-1\n2.png,-1,1\n",
        "2\nMale;Young\n1.png;1;-1\n2.png;-1;1\n",
        "2\nMale\tYoung\n1.png\t1\t-1\n2.png\t-1\t1\n",
        "2\nimage_id Male Young\n1.png 1 -1\n2.png -1 1\n",
        "image_id Male Young\n1.png 1 -1\n2.png -1 1\n",
    ],
)
def test_dialects(tmp_path, text):
    rows = read(tmp_path / "labels", text)
    assert rows.files == ["1.png", "2.png"]
    assert rows.labels.tolist() == WANTED
    assert LabelFile(tmp_path / "labels").names == ("Male", "Young")
    assert LabelFile.peek(tmp_path / "labels").first_file == "1.png"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_by_their_marks(tmp_path, encoding):
    text = "file;Mâle;Jeune\né.png;1;0\n2.png;0;1\n"
    rows = read(tmp_path / "labels.csv", text.encode(encoding), ("Mâle", "Jeune"))
    assert (rows.files[0], rows.labels.tolist()) == ("é.png", WANTED)
    big = b"\xfe\xff" + text.encode("utf-16-be")
    assert read(tmp_path / "labels.csv", big, ("Jeune",)).files[0] == "é.png"


def test_latin_1_is_named_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"line 2 is not UTF-8 text.*Latin-1; save it as UTF-8"):
        read(tmp_path / "labels.csv", "file,Male,Young\né.png,1,0\n".encode("latin-1"))
    with pytest.raises(DataError, match="it is not a text file"):
        read(tmp_path / "labels.csv", b"\x89PNG\r\n\x1a\n\x00\xff")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1.png,1,0\n2.png,0,1\n", "begins with a row of values, not with the names"),
        ("file,A\n1.png,1\n2.png,perhaps\n", "line 3: A is 'perhaps', but must be 1, 0, -1, yes"),
        ("file,A\n1.png,1\n2.png,0.5\n", "line 3: A is '0.5'"),
        ("file,A\n1.png,0\n2.png,7\n", "line 3: A is '7'.*choose the columns"),
        ("file,A\n1.png,1\n2.png,\n", "line 3: A is ''"),
        ("file,Caption\n" + "".join(f"{n}.png,a face {n}\n" for n in range(12)), "another word in"),
        ("file,A\n1.png,happy\n2.png,\n", "'A' of .* has rows without a word"),
        ("file,A,B\n1.png,happy,1\n", "line 2: A is 'happy'.*choose the columns to learn"),
    ],
)
def test_faults_are_named(tmp_path, write_images, text, complaint):
    write_images(tmp_path, [f"{number}.png" for number in range(12)])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        opened("csv", tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "domains"),
    [
        ("labels.csv", "file,mood\n1.png,sad\n2.png,happy\n3.png,sad\n", ("happy", "sad")),
        ("metadata.csv", "file_name,label\n1.png,10\n2.png,9\n3.png,8\n", ("8", "9", "10")),
        ("labels.csv", "label;image\n0;1.png\n2;2.png\n1;3.png\n", ("0", "1", "2")),
        ("labels.tsv", ",file\tmood\n0\t1.png\tsad\n", None),
        ("labels.tsv", "\tfile\tmood\n0\t1.png\tno\n1\t2.png\tother\n2\t3.png\tno\n", None),
        ("labels.tsv", "\tfile\tmood\n0\t1.png\ta\n1\t2.png\tb\n2\t3.png\ta\n", ("a", "b")),
    ],
)
def test_a_class_column_gives_domains(tmp_path, write_images, name, text, domains):
    write_images(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / name).write_text(text)
    config = DataConfig(root=str(tmp_path), split="none")
    if domains is None:
        with pytest.raises(DataError):
            open_source(config, "train")
        return
    source = open_source(config, "train")
    (only,) = source.label_space.sets
    assert (only.kind, only.names) == ("onehot", domains)
    assert source.labels.sum(axis=1).tolist() == [1, 1, 1]
    assert check_folder(tmp_path).labels.keys() == set(domains)
    named = opened("csv", tmp_path, attributes=domains[::-1][:2], scheme="none")
    assert named.label_space.names == domains[::-1][:2]
    with pytest.raises(LabelError, match=r"unknown (domain|attribute) 'angry'"):
        opened("csv", tmp_path, attributes=(domains[0], "angry"))
    with pytest.raises(ConfigError, match="domains exclude one another"):
        open_source(DataConfig(root=str(tmp_path), exclusive=(domains[:2],)), "train")


def test_a_class_column_among_others_is_chosen_by_its_name(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "2.png"])
    (tmp_path / "labels.csv").write_text("file,Male,mood\n1.png,1,sad\n2.png,0,happy\n")
    chosen = opened("csv", tmp_path, attributes=("mood",), scheme="none")
    assert (chosen.label_space.names, chosen.labels.tolist()) == (
        ("happy", "sad"),
        [[0, 1], [1, 0]],
    )
    assert opened("csv", tmp_path, attributes=("sad", "happy")).label_space.names[0] == "sad"
    assert opened("csv", tmp_path, attributes=("Male",)).labels.tolist() == [[1], [0]]


def test_contradictions_of_domains_are_refused_too(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "2.png"])
    (tmp_path / "a.csv").write_text("file,mood\n1.png,sad\n2.png,happy\n1.png,happy\n")
    with pytest.raises(DataError, match=r"1\.png in two ways, in lines 2 and 4"):
        opened("csv", tmp_path)


@pytest.mark.parametrize(
    ("listed", "there"),
    [
        ("1.jpg", "1.png"),
        ("1.jpg", "1.JPG"),
        ("A.PNG", "a.png"),
        ("1", "1.webp"),
        ("sub/1.jpg", "sub/1.jpeg"),
        ("./sub\\1.bmp", "sub/1.png"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "celeba"])
def test_other_endings_and_cases_are_taken_and_said_once(
    tmp_path, write_images, listed, there, kind
):
    folder = tmp_path / "images"
    write_images(folder, [there, "other.png"])
    if kind == "csv":
        text = f"file,Male\n{listed},1\nother.png,0\n"
        (tmp_path / "labels.csv").write_text(text)
    else:
        (tmp_path / "list_attr_x.txt").write_text(f"2\nMale\n{listed} 1\nother.png -1\n")
    source = opened("auto", tmp_path, attributes=("Male",), scheme="none")
    assert source.names == [there, "other.png"]
    assert source.load(0).size == (8, 8)
    (note,) = source.notes
    assert note.startswith("1 of 2 files of ")
    assert note.endswith(f" is {there}")
    assert note in check_folder(tmp_path).remarks


def test_two_names_of_one_file_may_not_contradict_one_another(tmp_path, write_images):
    write_images(tmp_path, ["1.png"])
    (tmp_path / "labels.csv").write_text("file,Male\n1.jpg,1\n1.png,0\n")
    with pytest.raises(DataError, match=r"1\.png in two ways, in lines 2 and 3"):
        opened("csv", tmp_path)


def test_of_two_files_of_one_stem_none_is_guessed(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "1.webp", "2.png"])
    (tmp_path / "labels.csv").write_text("file,Male\n1.jpg,1\n2.png,0\n")
    assert opened("csv", tmp_path, scheme="none").names == ["1.jpg", "2.png"]


def test_labels_of_photos_with_other_endings_are_found(tmp_path):
    from pathlib import PurePosixPath

    from stargan_deploy.card.labels import multilabel_space

    (tmp_path / "s.csv").write_text("file;Male\nsub/1.jpg;yes\n2.JPG;no\nx/3.jpg;1\ny/3.jpg;0\n")
    table = read_label_table(tmp_path / "s.csv", multilabel_space(["Male"]), needed=["Male"])
    found = [table.find(PurePosixPath(n)) for n in ("sub/1.png", "deep/2.jpg", "3.png")]
    assert [None if row is None else row.tolist() for row in found] == [[1], [0], None]


def test_the_only_csv_whose_files_exist_is_taken(tmp_path, write_images):
    write_images(tmp_path / "images", ["1.png", "2.png"])
    write_images(tmp_path / "masks", ["m.png"])
    (tmp_path / "boxes.csv").write_text("file,x\nnowhere.png,1\n")
    (tmp_path / "mine.csv").write_text("photo,Male\n1.png,1\n2.png,0\n")
    assert layout_of(DataConfig(root=str(tmp_path))) == "csv"
    assert opened("auto", tmp_path, scheme="none").label_space.names == ("Male",)
    (tmp_path / "other.csv").write_text("photo,Male\n1.png,0\n2.png,0\n")
    with pytest.raises(DataError, match=r"mine\.csv seems to list labels.*give the file itself"):
        opened("auto", tmp_path)
    with pytest.raises(DataError, match=r"found boxes\.csv, mine\.csv, other\.csv; name the file"):
        opened("csv", tmp_path)
    assert opened("auto", tmp_path / "other.csv", scheme="none").labels.tolist() == [[0], [0]]


@pytest.mark.parametrize("form", ["{}/metadata.csv", "{}.csv"])
@pytest.mark.parametrize("held_out", ["test", "validation", None])
def test_a_csv_for_each_split(tmp_path, write_images, form, held_out):
    """As data sets on the Hugging Face hub have them."""
    for split, words in (("train", "sad happy sad"), (held_out, "happy sad")):
        if split:
            path = tmp_path / form.format(split)
            write_images(path.parent, [f"{split}{n}.png" for n in range(3)])
            rows = [f"{split}{n}.png,{word}" for n, word in enumerate(words.split())]
            path.write_text("\n".join(["file_name,label", *rows]))
    if form == "{}.csv" and held_out is None:
        return
    train, test = opened("auto", tmp_path), opened("auto", tmp_path, split="test")
    assert train.label_space.names == test.label_space.names == ("happy", "sad")
    assert train.labels.tolist() == [[0, 1], [1, 0], [0, 1]]
    assert test.labels.tolist() == ([[1, 0], [0, 1]] if held_out else train.labels.tolist())
    assert train.description == tmp_path.name
    report = check_folder(tmp_path)
    assert (report.layout, report.labels["happy"]) == ("csv", 2 if held_out else 1)
    assert [part.split for part in report.parts] == (["train", "test"] if held_out else [])


def test_a_list_without_the_paper_s_attributes_gives_all_of_its_own(tmp_path, write_images):
    write_images(tmp_path / "images", ["1.png", "2.png"])
    (tmp_path / "labels.txt").write_text("file,Wings,Tail\n1.png,1,0\n2.png,0,1\n")
    own = opened("auto", tmp_path / "labels.txt", scheme="none")
    assert own.label_space.names == ("Wings", "Tail")
    assert json.dumps(own.labels.tolist()) == json.dumps([[1.0, 0.0], [0.0, 1.0]])


def test_a_list_with_some_of_the_paper_s_attributes_gives_all_of_its_own(tmp_path, write_images):
    write_images(tmp_path / "images", ["1.jpg", "2.jpg"])
    (tmp_path / "list_attr_x.txt").write_text("2\nMale Beard\n1.jpg 1 -1\n2.jpg -1 1\n")
    assert opened("auto", tmp_path, scheme="none").label_space.names == ("Male", "Beard")


def test_two_csvs_without_folders_are_named(tmp_path, write_images):
    write_images(tmp_path, ["1.png", "2.png"])
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("file,Male\n1.png,1\n2.png,0\n")
    with pytest.raises(DataError, match=r"one\.csv seems to list labels.*give the file itself"):
        opened("auto", tmp_path)
