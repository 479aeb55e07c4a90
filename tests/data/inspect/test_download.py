import pytest

from stargan_deploy.data.inspect.download import download_celeba
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.errors import DataError, OutputError
from tests.data.opened import opened


def fetch(folder):
    write_celeba(folder / "celeba", 3, size=32)


def test_a_whole_download_appears_at_once(tmp_path):
    target = tmp_path / "deep" / "celeba"
    assert download_celeba(target, fetch=fetch) == 3
    assert len(opened("celeba", target, scheme="none")) == 3
    assert [path.name for path in target.parent.iterdir()] == ["celeba"]


def test_an_empty_folder_may_stand_there(tmp_path):
    (tmp_path / "celeba").mkdir()
    assert download_celeba(tmp_path / "celeba", fetch=fetch) == 3


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    fetch(tmp_path)
    with pytest.raises(OutputError, match="is not empty"):
        download_celeba(tmp_path / "celeba", fetch=pytest.fail)


def test_a_failed_download_goes_on_later(tmp_path):
    def fail(folder):
        (folder / "part").write_bytes(b"half")
        raise ConnectionError("no route to host.")

    with pytest.raises(DataError, match=r"no route to host; try again later \(it continues"):
        download_celeba(tmp_path / "celeba", fetch=fail)
    assert not (tmp_path / "celeba").exists()
    assert (tmp_path / "celeba.partial" / "part").exists()
    assert download_celeba(tmp_path / "celeba", fetch=fetch) == 3
    assert not (tmp_path / "celeba.partial").exists()


def test_a_download_that_brought_nothing_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "celeba").mkdir()
        raise RuntimeError

    with pytest.raises(DataError, match="CelebA: RuntimeError; try again later, or fetch"):
        download_celeba(tmp_path / "celeba", fetch=fail)
    assert not list(tmp_path.iterdir())


def test_half_an_archive_is_not_taken_for_a_whole_one(tmp_path):
    def fetch_half(folder):
        fetch(folder)
        (folder / "celeba" / "images" / "000002.png").unlink()

    with pytest.raises(DataError, match=r"lacks 1 of 3 images, such as 000002\.png"):
        download_celeba(tmp_path / "celeba", fetch=fetch_half)
    assert not (tmp_path / "celeba").exists()
