import os
import stat

import pytest

from stargan_deploy.errors import DiskFullError, OutputError
from stargan_deploy.files.atomic import (
    atomic_path,
    file_sha256,
    make_folder,
    remove_temporaries,
    write_bytes,
    write_text,
)


def test_content_appears_whole(tmp_path):
    path = tmp_path / "deep" / "ümlaut.txt"
    write_text(path, "first")
    write_text(path, "second")
    assert path.read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["ümlaut.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "kept.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_one_clear_error(tmp_path):
    with (
        pytest.raises(DiskFullError, match=r"cannot write .*No space left"),
        atomic_path(tmp_path / "big.bin"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_text(tmp_path / "file" / "x.txt", "")
    with pytest.raises(OutputError, match="cannot write"):
        make_folder(tmp_path / "file" / "folder")


def leave_temporary(path):
    """What a writer leaves that is killed in the midst of a file."""
    with atomic_path(path) as temporary:
        content = temporary.read_bytes()
    path.unlink()
    temporary.write_bytes(content)
    return temporary


def test_leftovers_of_killed_writers_are_told_apart_by_the_whole_name(tmp_path):
    long = "ä" * 100
    names = ["a.jpg", "A.jpg", f"{long}1.jpg", f"{long}2.jpg", os.fsdecode(b"\xe9.jpg"), "n\nl.jpg"]
    leftovers = {name: leave_temporary(tmp_path / "sub" / name) for name in names}
    (tmp_path / "sub" / ".a.jpg.0123456789ab.tmp").write_text("another tool's")
    (tmp_path / "sub" / "a.jpg").write_text("the file itself")
    for name, leftover in leftovers.items():
        assert remove_temporaries([tmp_path / "sub" / name, tmp_path / "none" / name]) == 1
        assert not leftover.exists()
        assert remove_temporaries([tmp_path / "sub" / name]) == 0
    assert len(list((tmp_path / "sub").iterdir())) == 2


def test_leftovers_in_other_folders_stay(tmp_path):
    leftover = leave_temporary(tmp_path / "one" / "a.jpg")
    (tmp_path / "two").mkdir()
    assert remove_temporaries([tmp_path / "two" / "a.jpg", tmp_path / "a.jpg"]) == 0
    assert leftover.exists()


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
