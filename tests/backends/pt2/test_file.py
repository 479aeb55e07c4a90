import struct
import zipfile
from dataclasses import replace

import pytest

from stargan_deploy.backends.pt2.file import (
    attach_card,
    payload_sha256,
    read_card,
    read_entries,
    read_target,
    write_package,
)
from stargan_deploy.card.card import CARD_KEY, ModelCard, Preprocessing
from stargan_deploy.card.labels import multilabel_space
from stargan_deploy.errors import CardError, ModelError, OutputError

ENTRIES = {"archive_format": b"pt2", "data/aotinductor/model/model.so": b"\x7fELF" * 100}


@pytest.fixture
def card():
    return ModelCard(
        family="stargan",
        network={},
        weights="raw",
        step=3,
        labels=multilabel_space(("Smiling",)),
        preprocessing=Preprocessing(image_size=32),
        entry_points={},
    )


@pytest.fixture
def package(tmp_path, card):
    path = tmp_path / "model.pt2"
    write_package(path, ENTRIES, card)
    return path


def write_zip(path, names, *, compression=zipfile.ZIP_STORED, content=b"x" * 1000):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in names:
            archive.writestr(name, content)


def test_what_is_written_is_read(package, card):
    assert read_entries(package) == ENTRIES
    assert read_card(package) == card


def test_a_card_is_replaced_and_the_hash_stays(package, card):
    before = payload_sha256(read_entries(package))
    attach_card(package, replace(card, step=4))
    assert read_card(package).step == 4
    assert payload_sha256(read_entries(package)) == before
    with zipfile.ZipFile(package) as archive:
        assert sum(CARD_KEY in name for name in archive.namelist()) == 1


def test_equal_contents_give_equal_files(tmp_path, card):
    paths = [tmp_path / f"{name}.pt2" for name in "ab"]
    write_package(paths[0], ENTRIES, card)
    write_package(paths[1], dict(reversed(ENTRIES.items())), card)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_hash_does_not_depend_on_root_times_or_order(package, tmp_path):
    other = tmp_path / "other.pt2"
    with zipfile.ZipFile(other, "w") as archive:
        for name in sorted(ENTRIES, reverse=True):
            archive.writestr(zipfile.ZipInfo(f"root/{name}", (2020, 2, 2, 2, 2, 2)), ENTRIES[name])
    assert payload_sha256(read_entries(other)) == payload_sha256(read_entries(package))


def test_the_hash_depends_on_every_name_and_byte():
    hashes = {
        payload_sha256(entries)
        for entries in (
            {"a": b"xy", "b": b"z"},
            {"a": b"x", "b": b"yz"},
            {"a": b"xy", "c": b"z"},
            {"a": b"xy", "b": b"Z"},
            {"a": b"xyz"},
            {"a": b"xy", "b": b"z", "c": b""},
        )
    }
    assert len(hashes) == 6


def test_a_package_without_our_card_is_foreign(tmp_path):
    path = tmp_path / "foreign.pt2"
    write_package(path, ENTRIES)
    with pytest.raises(CardError, match=r"foreign\.pt2 carries no model card.*stargan-deploy exp"):
        read_card(path)
    with pytest.raises(ModelError, match="does not say what it was compiled for"):
        read_target(path)


def test_a_damaged_card_is_refused(package):
    write_package(package, {**ENTRIES, f"extra/{CARD_KEY}": b"\xff{"})
    with pytest.raises(CardError, match="damaged"):
        read_card(package)


@pytest.mark.parametrize("length", [0, 1, 100, 700, -1, -30])
def test_a_truncated_package_is_refused_in_one_line(package, length):
    package.write_bytes(package.read_bytes()[:length])
    for read in (read_card, read_entries, read_target):
        with pytest.raises(ModelError, match=r"not a whole \.pt2 package") as caught:
            read(package)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04pickle", b"{}" * 5000])
def test_what_is_no_zip_is_refused(tmp_path, content):
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a whole \.pt2 package"):
        read_card(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"no such artefact: .*gone\.pt2"):
        read_card(tmp_path / "gone.pt2")
    with pytest.raises(ModelError, match="not a whole"):
        read_card(tmp_path)


def test_a_zip_bomb_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.pt2"
    write_zip(
        path, [f"root/extra/{CARD_KEY}"], compression=zipfile.ZIP_DEFLATED, content=bytes(10**7)
    )
    assert path.stat().st_size < 20_000
    with pytest.raises(ModelError, match="holds compressed"):
        read_card(path)


def test_entries_that_claim_more_than_the_file_holds_are_refused(package):
    """One stretch of the file that many entries of the directory point to."""
    content = package.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    directory = content[start:end]
    size = struct.unpack_from("<I", content, end + 12)[0]
    copies = b"".join(
        directory.replace(b"_format", b"_forma%d" % i)
        .replace(b"model.so", b"model.s%d" % i)
        .replace(b".card", b".car%d" % i)
        for i in range(9)
    )
    tail = bytearray(content[end:])
    count = struct.unpack_from("<H", content, end + 10)[0]
    struct.pack_into("<HHI", tail, 8, count * 9, count * 9, size * 9)
    package.write_bytes(content[:start] + copies + bytes(tail))
    with pytest.raises(ModelError, match="its files overlap"):
        read_entries(package)


@pytest.mark.parametrize("names", [["a/x", "b/x"], ["x"], ["a/x", "x"], []])
def test_files_outside_of_one_root_are_refused(tmp_path, names):
    path = tmp_path / "model.pt2"
    write_zip(path, names)
    with pytest.raises(ModelError, match="not in one root folder"):
        read_entries(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    path = tmp_path / "model.pt2"
    write_zip(path, ["a/x", "a/x"])
    with pytest.raises(ModelError, match="not in one root folder"):
        read_entries(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_package(tmp_path / "file" / "model.pt2", ENTRIES)
