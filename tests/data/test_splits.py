import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.data.splits import choose_rows, read_partition
from stargan_deploy.errors import DataError
from tests.data.opened import opened

FILES = ["a.jpg", "sub/b.jpg", "c.jpg", "d.jpg"]


def chosen(split, scheme, folder=Path(), num_held_out=1):
    rows = choose_rows(FILES, split, scheme, folder=folder, num_held_out=num_held_out)
    return [FILES[row] for row in rows]


def test_none_gives_all_rows_to_both():
    assert chosen("train", "none") == chosen("test", "none") == FILES


def test_official_divides_a_shuffle():
    train, test = chosen("train", "official"), chosen("test", "official")
    assert len(test) == 1
    assert sorted(train + test) == sorted(FILES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list_eval_partition.txt", "a.jpg 0\nb.jpg 2\r\n\nc.jpg 1\nd.jpg 0\nmore.jpg 2"),
        ("list_eval_partition.csv", "image_id,partition\na.jpg,0\nb.jpg,2\nc.jpg,1\nd.jpg,0"),
    ],
)
def test_celeba_s_partition_keeps_the_order_of_the_rows(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert chosen("train", "partition", tmp_path) == ["a.jpg", "d.jpg"]
    assert chosen("test", "partition", tmp_path) == ["sub/b.jpg"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no list_eval_partition.txt"),
        ("a.jpg 0\nb.jpg 3\n", "line 2 is not a file and 0, 1 or 2"),
        ("a.jpg\n", "line 1 is not"),
        ("a.jpg 0\n", "does not know 'sub/b.jpg'"),
    ],
)
def test_a_bad_partition_is_refused(tmp_path, text, complaint):
    if text is not None:
        (tmp_path / "list_eval_partition.txt").write_text(text)
    with pytest.raises(DataError, match=complaint):
        chosen("train", "partition", tmp_path)


def test_celeba_with_a_partition_file(tmp_path):
    write_celeba(tmp_path, 4, size=32)
    rows = [f"{number + 1:06d}.png {part}" for number, part in enumerate((2, 0, 0, 1))]
    (tmp_path / "list_eval_partition.txt").write_text("\n".join(rows))
    assert opened("celeba", tmp_path, scheme="partition").names == ["000002.png", "000003.png"]
    assert opened("celeba", tmp_path, scheme="partition", split="test").names == ["000001.png"]


def test_a_part_without_images_is_refused(tmp_path):
    write_celeba(tmp_path, 2, size=32)
    (tmp_path / "list_eval_partition.txt").write_text("000001.png 0\n000002.png 0\n")
    with pytest.raises(DataError, match=r"data\.split=partition leaves none for test"):
        opened("celeba", tmp_path, scheme="partition", split="test")


lines = st.text(max_size=12) | st.sampled_from(["a.jpg 0", "a.jpg,1", "x", "a.jpg 0 1"])


@settings(max_examples=100, deadline=None)
@given(content=st.lists(lines, max_size=5).map("\n".join).map(str.encode) | st.binary(max_size=30))
def test_hostile_partitions_are_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "list_eval_partition.txt").write_bytes(content)
        try:
            parts = read_partition(Path(folder))
        except DataError:
            return
        assert set(parts.values()) <= {"train", "validation", "test"}
