import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.data.config import DataConfig
from stargan_deploy.data.layouts.label_file import VALUES, LabelFile
from stargan_deploy.data.open import open_source
from stargan_deploy.errors import DataError, LabelError

CSV = "file,Male,Note,Young\na.jpg,1,hello,-1\n./sub\\b.png, TRUE ,,false\n"


def opened(folder, content):
    path = folder / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LabelFile(path)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_csv_with_any_values_in_any_order(tmp_path, ending, mark):
    file = opened(tmp_path, mark + CSV.replace("\n", ending).encode())
    assert file.names == ("Male", "Note", "Young")
    assert (file.is_list, file.num_rows_said) == (False, None)
    rows = file.read(["Young", "Male"])
    assert rows.files == ["a.jpg", "sub/b.png"]
    assert rows.labels.tolist() == [[0, 1], [0, 1]]
    assert rows.lines == [2, 3]


def test_celeba_s_list(tmp_path):
    file = opened(tmp_path, "3\nMale Young\n1.jpg  1 -1\n\n2.jpg -1  1\n")
    assert (file.is_list, file.num_rows_said) == (True, 3)
    rows = file.read(["Young"])
    assert rows.files == ["1.jpg", "2.jpg"]
    assert rows.labels.tolist() == [[0], [1]]
    assert rows.lines == [3, 5]


def test_a_name_with_commas_and_quotes(tmp_path):
    file = opened(tmp_path, 'file,Male\n"a, ""b"".jpg",1\n')
    assert file.read(["Male"]).files == ['a, "b".jpg']


@pytest.mark.parametrize(
    ("content", "names", "error", "complaint"),
    [
        ("", [], DataError, "holds no labels"),
        ("file,Male\n\n", [], DataError, "holds no labels"),
        ("7\n", [], DataError, "holds no labels"),
        (b"\xff\xfe\x00", [], DataError, "UTF-16 text is damaged"),
        (CSV, ["Make"], LabelError, "did you mean 'Male'"),
        (CSV, ["Note"], DataError, "line 2: Note is 'hello', but must be 1, 0"),
        ("file,Male\na.jpg,1\nb.jpg\n", ["Male"], DataError, "line 3 has 1 columns"),
        ("file,A,A\na.jpg,1,0\n", ["A"], DataError, "two columns 'A'"),
        (
            "file,A\na.jpg,1\nb.jpg,1\na.jpg,-1\n",
            ["A"],
            DataError,
            "a.jpg in two ways, in lines 2 and 4",
        ),
        ('file,A\n"a.jpg,1\n', ["A"], DataError, "line 2 is not CSV"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, names, error, complaint):
    with pytest.raises(error, match=complaint):
        opened(tmp_path, content).read(names)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        LabelFile(tmp_path)


cells = st.text(max_size=6) | st.sampled_from([*VALUES, "yes", '"', "a.jpg", "A"])
lines = st.lists(cells, max_size=4).flatmap(
    lambda row: st.sampled_from([",", " ", ", "]).map(lambda comma: comma.join(row))
)
texts = st.lists(lines, max_size=5).map("\n".join).map(str.encode)
hostile = st.binary(max_size=60) | texts | texts.map(lambda text: b"2\n" + text)


@settings(max_examples=200, deadline=None)
@given(content=hostile)
def test_hostile_text_is_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = opened(Path(folder), content)
            rows = file.read(file.names[:2])
        except (DataError, LabelError):
            return
        assert rows.labels.shape == (len(rows.files), len(file.names[:2]))
        assert set(rows.labels.ravel().tolist()) <= {0.0, 1.0}
        assert rows.lines == sorted(rows.lines)


@settings(max_examples=200, deadline=None)
@given(content=hostile, name=st.sampled_from(["list_attr_x.txt", "x.csv"]))
def test_hostile_data_folders_are_opened_or_refused(content, name):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        (Path(folder) / "a.jpg").write_bytes(b"")
        kind = "csv" if name.endswith("csv") else "celeba"
        config = DataConfig(kind=kind, root=folder, attributes=("A",), split="none")
        for one in (config, replace(config, attributes=()), replace(config, split="official")):
            try:
                source = open_source(one, "train")
            except (DataError, LabelError):
                continue
            assert source.labels.shape == (len(source), source.label_space.label_width)


def test_equal_rows_and_contradictions_in_other_columns_do_no_harm(tmp_path):
    file = opened(tmp_path, "file,A,Note\na.jpg,1,x\n./a.jpg,1,y\n")
    assert file.read(["A"]).labels.tolist() == [[1], [1]]
