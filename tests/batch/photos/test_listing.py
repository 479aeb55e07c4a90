import os
from pathlib import Path, PurePosixPath

import pytest

from stargan_deploy.batch.photos.listing import list_photos, same_name_key
from stargan_deploy.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(source: Path, skip: str = "out") -> list[str]:
    return [str(photo) for photo in list_photos(source, skip=source / skip).photos]


def test_the_folder_of_the_results_is_left_out(tmp_path):
    touch(tmp_path, "a.jpg", "out/a.jpg", "out/sub/b.jpg", "sub/out/c.jpg")
    assert listed(tmp_path) == ["a.jpg", "sub/out/c.jpg"]
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert listed(tmp_path) == ["a.jpg", "sub/out/c.jpg"]


def test_a_folder_that_cannot_be_listed_is_reported(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_photos(tmp_path, skip=tmp_path / "out")
    assert [str(photo) for photo in listing.photos] == ["a.jpg"]
    assert [failure.path for failure in listing.failures] == ["locked"]
    assert "Permission denied" in listing.failures[0].reason


def test_one_file_of_any_name(tmp_path):
    touch(tmp_path, "photo", "other.jpg")
    listing = list_photos(tmp_path / "photo", skip=tmp_path / "out")
    assert (listing.root, listing.photos) == (tmp_path, (PurePosixPath("photo"),))


def test_nothing_to_do_is_an_error_that_says_what_was_looked_for(tmp_path):
    touch(tmp_path, "a.txt")
    with pytest.raises(DataError, match=r"no images in .*\.jpg.*\.webp"):
        listed(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        listed(tmp_path / "none")


@pytest.mark.parametrize(
    ("one", "other"), [("A.jpg", "a.JPG"), ("é.png", "e\u0301.png"), ("Straße", "STRASSE")]
)
def test_names_that_some_file_systems_take_for_one(one, other):
    assert same_name_key(PurePosixPath(one)) == same_name_key(PurePosixPath(other))


def test_photos_of_several_places_have_names_below_the_folder_of_all(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/sub/2.jpg", "b/1.jpg", "c/1.jpg", "a/x.cr2", "b/y.cr2")
    parts = (tmp_path / "a", tmp_path / "b", tmp_path / "b/1.jpg")
    listing = list_photos(tmp_path, skip=tmp_path / "out", parts=parts)
    assert [str(photo) for photo in listing.photos] == ["a/1.jpg", "a/sub/2.jpg", "b/1.jpg"]
    assert listing.left_out == {".cr2": 2}
    assert listing.note == "a: left out: 1 file (.cr2 1); b: left out: 1 file (.cr2 1)"
