"""Reading and merging manifests, whatever is in them."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stargan_deploy.batch.manifest.lines import (
    MAX_NUMBER,
    OutputRecord,
    PhotoRecord,
    RunRecord,
    StartedRecord,
    parse_line,
    to_line,
)
from stargan_deploy.batch.manifest.reader import (
    BEFORE_ALL,
    manifest_name,
    manifest_shard,
    place_below,
    read_manifests,
)
from stargan_deploy.batch.shard import WHOLE, Shard
from stargan_deploy.errors import OutputError
from tests.batch.test_settings import SETTINGS, anything

SHA = "0123456789abcdef" * 4


def run_line(run="r1", order=1, started="2026-11-22T10:00:00.000+00:00", **changes):
    record = RunRecord(run=run, order=order, started=started, settings=SETTINGS.to_mapping())
    return to_line({**record.to_row(), **changes})


def photo_line(
    photo="a.jpg", run="r1", result="translated", size_bytes=10, outputs=None, **changes
):
    places = [photo] if outputs is None else outputs
    record = PhotoRecord(
        run=run,
        photo=photo,
        input_sha256=SHA,
        input_bytes=5,
        result=result,
        outputs=tuple(OutputRecord(path=p, sha256=SHA, size_bytes=size_bytes) for p in places),
    )
    return to_line({**record.to_row(), **changes})


def begun_line(photo="a.jpg", run="r1", outputs=None):
    return to_line(StartedRecord(run=run, photo=photo, outputs=tuple(outputs or [photo])).to_row())


@pytest.fixture
def read(tmp_path):
    """Reads a folder with some manifests, by default one called `manifest.jsonl`."""

    def read_contents(*lines, **files):
        for name, content in {"manifest": lines, **files}.items():
            (tmp_path / f"{name.replace('__', '.')}.jsonl").write_bytes(b"".join(content))
        return read_manifests(tmp_path)

    return read_contents


names = (
    st.binary(min_size=1)
    .map(os.fsdecode)
    .filter(lambda name: name[0] != "/" and "\0" not in name and ".." not in name.split("/"))
)


@given(names, names)
def test_any_file_name_comes_back_as_it_was(photo, output):
    line = photo_line(photo, outputs=[output])
    assert line.count(b"\n") == 1
    json.loads(line.decode("utf-8"))
    record = parse_line(line)
    assert (record.photo, record.outputs[0].path) == (photo, output)
    begun = parse_line(begun_line(photo, outputs=[output]))
    assert (begun.photo, begun.outputs) == (photo, (output,))


def test_names_that_are_utf8_stay_readable():
    assert "Größe 1.jpg".encode() in photo_line("Größe 1.jpg")
    assert rb'"Gr\udcf6\udcdfe.jpg"' in photo_line(os.fsdecode("Größe.jpg".encode("latin-1")))


def test_no_manifest_is_no_work(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        earlier = read_manifests(folder)
        assert not earlier.files
        assert not earlier.photos
        assert earlier.next_order == 1


def test_the_last_word_of_a_photo_holds(read):
    earlier = read(
        run_line("r1", 1),
        photo_line("a.jpg", result="failed", outputs=[]),
        photo_line("b.jpg", size_bytes=11),
        run_line("r2", 2),
        photo_line("a.jpg", "r2", size_bytes=12),
    )
    assert earlier.photos["a.jpg"].result == "translated"
    assert earlier.photos["a.jpg"].run == "r2"
    assert earlier.photos["b.jpg"].run == "r1"
    assert earlier.sizes == {"a.jpg": (12,), "b.jpg": (11,)}
    assert earlier.next_order == 3
    assert not earlier.notes()


def test_all_sizes_that_a_file_ever_had_are_known(read):
    earlier = read(run_line(), *(photo_line(size_bytes=size) for size in (1, 2, 1)))
    assert earlier.sizes == {"a.jpg": (1, 2)}


@pytest.mark.parametrize(
    "torn", [b'{"run": "r1", "pho', b"\0" * 100, b'{"run"\0\0\0', b"\xff\xfe", b"{}"]
)
def test_a_torn_last_line_is_ignored_also_once_a_new_run_went_on_after_it(read, torn):
    head = [run_line(), photo_line("a.jpg")]
    assert not read(*head, torn).notes()
    earlier = read(*head, torn, b"\n", run_line("r2", 2), photo_line("b.jpg", "r2"))
    assert not earlier.notes()
    assert list(earlier.photos) == ["a.jpg", "b.jpg"]


def test_a_last_line_that_only_lacks_its_end_is_whole(read):
    assert read(run_line(), photo_line("a.jpg")[:-1]).photos.keys() == {"a.jpg"}


def test_damaged_lines_in_the_middle_are_counted(read):
    earlier = read(
        run_line(),
        b"rubbish\n",
        photo_line("a.jpg"),
        b'{"run": "r1"}\n[]\n',
        b"\n\0\0\n",
        photo_line("b.jpg"),
        b"7\n",
    )
    assert earlier.notes() == ("manifest.jsonl: 4 damaged lines are skipped",)
    assert earlier.photos.keys() == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(
    "line",
    [
        photo_line("../a.jpg"),
        photo_line("/etc/passwd"),
        photo_line("a/../../b.jpg"),
        photo_line("a\0b.jpg"),
        photo_line(""),
        photo_line(outputs=["../../evil.png"]),
        photo_line(outputs=["/evil.png"]),
        photo_line(result="great"),
        photo_line(result=["translated"]),
        photo_line(input_bytes=-1),
        photo_line(input_bytes=True),
        photo_line(input_bytes=1.5),
        photo_line(size_bytes=MAX_NUMBER + 1),
        photo_line(input_sha256="0" * 63),
        photo_line(input_sha256="0" * 63 + "G"),
        photo_line(input_sha256="0" * 64 + "\n"),
        photo_line(reason=7),
        to_line({"run": 7, "begun": "a.jpg", "outputs": []}),
        to_line({"run": "r", "begun": "../a.jpg", "outputs": []}),
        to_line({"run": "r", "begun": "a.jpg", "outputs": "a.jpg"}),
        run_line(order=MAX_NUMBER + 1),
        run_line(settings=[]),
        run_line(schema_version="1"),
        b'{"run": ' + b"[" * 100_000 + b"\n",
        b'{"input_bytes": ' + b"1" * 5_000 + b"}\n",
        b'"settings"\n',
        b"{}\n",
    ],
)
def test_lines_that_are_not_ours_are_damaged(read, line):
    with pytest.raises(ValueError, match=r"."):
        parse_line(line)
    assert read(line, photo_line("b.jpg")).photos.keys() == {"b.jpg"}


def test_endless_lines_take_no_endless_memory(read, monkeypatch):
    monkeypatch.setattr("stargan_deploy.batch.manifest.reader.MAX_LINE_BYTES", 1000)
    earlier = read(run_line(), b"x" * 10_500 + b"\n", photo_line())
    assert earlier.files[0].num_damaged == 11
    assert earlier.photos


def test_a_newer_version_counts_as_other_settings(read):
    earlier = read(run_line(schema_version=2))
    assert earlier.runs["r1"].settings["schema_version"] == 2


def test_photos_in_flight_are_those_begun_and_not_ended(read):
    earlier = read(
        run_line(),
        *(begun_line(f"{name}.jpg", outputs=[f"x/{name}.jpg", f"y/{name}.jpg"]) for name in "abc"),
        photo_line("a.jpg"),
        photo_line("b.jpg", result="failed", outputs=[]),
    )
    assert earlier.in_flight == {"c.jpg": ("x/c.jpg", "y/c.jpg")}


def test_a_photo_that_is_begun_again_is_in_flight_again(read):
    earlier = read(run_line(), begun_line(), photo_line(), begun_line(outputs=["new.png"]))
    assert earlier.in_flight == {"a.jpg": ("new.png",)}
    assert "a.jpg" in earlier.photos


def test_files_of_two_interrupted_runs_are_both_known(read):
    earlier = read(
        run_line(), begun_line(outputs=["x.png"]), run_line("r2", 2), begun_line(run="r2")
    )
    assert earlier.in_flight == {"a.jpg": ("x.png", "a.jpg")}


def test_shards_merge(read):
    earlier = read(
        **{
            "manifest__1-of-2": [
                run_line("s1"),
                photo_line("a.jpg", "s1"),
                begun_line("c.jpg", "s1"),
            ],
            "manifest__2-of-2": [run_line("s2"), photo_line("b.jpg", "s2")],
        }
    )
    assert earlier.photos.keys() == {"a.jpg", "b.jpg"}
    assert earlier.in_flight.keys() == {"c.jpg"}
    shards = [file.shard for file in earlier.files if file.has_work]
    assert shards == [Shard(index=1, count=2), Shard(index=2, count=2)]


@pytest.mark.parametrize("is_later_first", [True, False])
def test_between_files_the_later_run_has_the_last_word(read, is_later_first):
    early = [
        run_line("early", 1, "2027"),
        begun_line("b.jpg", "early"),
        photo_line("a.jpg", "early"),
    ]
    late = [run_line("late", 2, "2026"), photo_line("a.jpg", "late"), photo_line("b.jpg", "late")]
    first, second = (late, early) if is_later_first else (early, late)
    earlier = read(**{"manifest__1-of-2": first, "manifest__2-of-2": second})
    assert earlier.photos["a.jpg"].run == "late"  # though its clock went wrong
    assert not earlier.in_flight


@pytest.mark.parametrize("is_later_first", [True, False])
def test_runs_side_by_side_are_ordered_by_their_clocks(read, is_later_first):
    early = [run_line("early", 1, "2026"), photo_line("a.jpg", "early")]
    late = [run_line("late", 1, "2027"), photo_line("a.jpg", "late")]
    first, second = (late, early) if is_later_first else (early, late)
    earlier = read(**{"manifest__1-of-2": first, "manifest__2-of-3": second})
    assert earlier.photos["a.jpg"].run == "late"


def test_a_copy_of_a_manifest_changes_nothing(read):
    lines = [run_line(), photo_line(), begun_line("b.jpg"), photo_line("b.jpg")]
    assert read(*lines).photos == read(*lines, **{"manifest (copy)": lines}).photos
    assert not read(*lines).in_flight


def test_photos_of_a_run_that_nothing_tells_of_come_before_all(read):
    earlier = read(photo_line("a.jpg", "lost"), run_line(), photo_line("a.jpg"))
    assert earlier.photos["a.jpg"].run == "r1"
    assert earlier.runs["r1"].rank > BEFORE_ALL


def test_the_greatest_order_can_be_followed(read):
    assert read(run_line(order=MAX_NUMBER)).next_order == MAX_NUMBER


def test_names_of_manifests():
    for shard in (WHOLE, Shard(index=3, count=12)):
        assert manifest_shard(manifest_name(shard)) == shard
    assert manifest_name(WHOLE) == "manifest.jsonl"
    assert manifest_name(Shard(index=3, count=12)) == "manifest.3-of-12.jsonl"
    for name in ("manifest-old.jsonl", "manifest.5-of-4.jsonl", "manifest.0-of-0.jsonl"):
        assert manifest_shard(name) == WHOLE


def test_places_have_forward_slashes():
    assert place_below(Path("out") / "Blond_Hair" / "a b.jpg", Path("out")) == "Blond_Hair/a b.jpg"


def test_what_is_no_file_is_no_manifest(tmp_path):
    (tmp_path / "manifest.jsonl").mkdir()
    os.mkfifo(tmp_path / "manifest.1-of-2.jsonl")
    assert not read_manifests(tmp_path).files


def test_a_manifest_that_cannot_be_read_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "manifest.jsonl").write_bytes(run_line())

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(OutputError, match=r"cannot read .*manifest.jsonl: Permission denied"):
        read_manifests(tmp_path)


KEYS = {*json.loads(run_line()), *json.loads(photo_line()), *json.loads(begun_line())}
KEYS |= {"path", "sha256", "size_bytes"}
VALUES = ["a.jpg", "../x", "/x", "", "r1", SHA, "translated", "failed", 0, 5, -1, [], {}]

keys, likely = st.sampled_from(sorted(KEYS)), st.sampled_from(VALUES)
outputs = st.lists(st.dictionaries(keys, likely, max_size=4), max_size=2)
rows = st.dictionaries(keys, st.one_of(likely, outputs, anything), max_size=8)
lines = st.one_of(
    st.binary(max_size=50),
    rows.map(lambda row: json.dumps(row).encode() + b"\n"),
    st.sampled_from([run_line(), photo_line(), begun_line(), b"\n", b"\0"]),
)
contents = st.lists(lines, max_size=5).map(b"".join)


@given(contents, contents)
@settings(deadline=None)
def test_any_bytes_can_be_read(whole, shard):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.jsonl").write_bytes(whole)
        (folder / "manifest.1-of-2.jsonl").write_bytes(shard)
        earlier = read_manifests(folder)
        assert 1 <= earlier.next_order <= MAX_NUMBER
        earlier.notes()
        places = [*earlier.photos, *earlier.in_flight, *earlier.sizes]
        places += [place for places in earlier.in_flight.values() for place in places]
        for place in places:
            assert not place.startswith("/")
            assert ".." not in Path(place).parts
