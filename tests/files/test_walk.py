import os
from pathlib import Path

import pytest
from PIL import Image

from stargan_deploy.errors import DataError
from stargan_deploy.files import formats
from stargan_deploy.files.walk import find_images, image_files, subfolders


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root: Path) -> list[str]:
    assert image_files(root) == [root / image for image in find_images(root).images]
    return [str(image) for image in find_images(root).images]


def test_images_of_all_subfolders_in_order(tmp_path):
    touch(tmp_path, "b.JPG", "a/x.png", "a/y/z.webp", "ü/é.gif", "notes.txt", "c.jpg.txt")
    assert listed(tmp_path) == ["a/x.png", "a/y/z.webp", "b.JPG", "ü/é.gif"]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    touch(tmp_path, "a.jpg", ".b.jpg", "._a.jpg", ".cache/c.jpg")
    assert listed(tmp_path) == ["a.jpg"]


def test_a_folder_that_is_named_like_an_image_is_a_folder(tmp_path):
    touch(tmp_path, "x.jpg/a.png")
    assert listed(tmp_path) == ["x.jpg/a.png"]


def test_loops_of_links_end(tmp_path):
    touch(tmp_path, "a/x.jpg", "b/y.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "odd.jpg").symlink_to("odd.jpg")
    assert listed(tmp_path) == ["a/x.jpg", "b/odd.jpg", "b/y.jpg"]


def test_links_out_of_the_tree_are_followed_once(tmp_path):
    touch(tmp_path, "elsewhere/deep/x.jpg", "photos/a.jpg")
    (tmp_path / "photos" / "one").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "two").symlink_to(tmp_path / "elsewhere")
    assert listed(tmp_path / "photos") == ["a.jpg", "one/deep/x.jpg"]


def test_broken_links_are_listed_so_that_they_are_reported(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "gone").symlink_to("nowhere")
    assert listed(tmp_path) == ["gone.jpg"]


def test_broken_links_that_may_be_folders_are_named(tmp_path):
    touch(tmp_path, "happy/a.jpg")
    (tmp_path / "sad").symlink_to("nowhere")
    (tmp_path / "happy" / "notes.txt").symlink_to("nowhere")
    found = find_images(tmp_path)
    assert found.note == "left out links that lead nowhere: happy/notes.txt, sad"
    assert listed(tmp_path) == ["happy/a.jpg"]


def test_pipes_are_not_images(tmp_path):
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert listed(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"],
)
def test_system_folders_are_left_out_with_one_line(tmp_path, name):
    touch(tmp_path, "a.jpg", "sub/b.jpg", f"{name}/a.jpg/thumb.jpg", f"sub/{name}/c.jpg")
    found = find_images(tmp_path)
    assert [str(image) for image in found.images] == ["a.jpg", "sub/b.jpg"]
    assert found.note == f"left out system folders: {name}, sub/{name}"
    touch(tmp_path, *(f"{number}/{name}/d.jpg" for number in range(5)))
    assert find_images(tmp_path).note.endswith(" and 4 more")


def test_a_folder_that_cannot_be_listed_is_an_error_where_all_images_are_needed(
    tmp_path, monkeypatch
):
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [str(folder.path) for folder in find_images(tmp_path).unreadable] == ["locked"]
    with pytest.raises(DataError, match=r"cannot list .*locked: Permission denied"):
        image_files(tmp_path)


def test_subfolders_are_visible_and_not_the_folder_itself(tmp_path):
    touch(tmp_path, "data/b/1.jpg", "data/.hidden/2.jpg", "data/@eaDir/3.jpg", "other/4.jpg")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "other")
    (tmp_path / "data" / "self").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "gone").symlink_to("nowhere")
    assert [path.name for path in subfolders(tmp_path / "data")] == ["a", "b"]


def test_photos_without_an_ending_are_images_and_others_are_counted(tmp_path):
    for name in ("IMG_1", "b.jpg", "kept.bak", "c.txt", "d.webp_large"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "JPEG")
    touch(tmp_path, "README", "clip.mov", "raw.NEF")
    found = find_images(tmp_path)
    assert [str(image) for image in found.images] == ["IMG_1", "b.jpg"]
    assert found.num_unread == {".bak": 1, ".webp_large": 1, ".mov": 1, ".nef": 1}
    assert found.note.startswith("left out: 4 files (")


@pytest.mark.parametrize("has_heif", [True, False])
def test_heic_is_an_image_where_it_can_be_read(tmp_path, monkeypatch, has_heif):
    monkeypatch.setattr(formats, "has_heif", lambda: has_heif)
    touch(tmp_path, "a.heic", "b.HEIF")
    found = find_images(tmp_path)
    assert (len(found.images), bool(found.num_unread)) == ((2, False) if has_heif else (0, True))
    assert ("pip install 'stargan-deploy[heif]'" in found.note) == (not has_heif)
