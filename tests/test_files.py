import stat

import pytest

from stargan_deploy.errors import OutputError
from stargan_deploy.files import atomic_path, file_sha256, make_folder, write_bytes, write_text


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
        pytest.raises(OutputError, match=r"cannot write .*No space left"),
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


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
