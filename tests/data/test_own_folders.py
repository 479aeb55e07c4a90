"""Data folders as people have them, which once were read wrongly without a word."""

import shutil

import numpy as np
import pytest

from stargan_deploy.data.batches.loading import first_images
from stargan_deploy.data.batches.prepared import PreparedImages, crop_remark
from stargan_deploy.data.config import DataConfig, SetConfig
from stargan_deploy.data.inspect.check import check_folder
from stargan_deploy.data.open import open_source, place_roots
from stargan_deploy.errors import DataError
from stargan_deploy.files import formats
from tests.data.opened import layout_of, opened
from tests.tiny_families import save_noise

LIST = "8\nMale Young \n" + "".join(f"{number}.jpg  1 -1\n" for number in range(8))


def write_masks(folder, write_images, name, text):
    """Images, masks and a label file as CelebAMask-HQ has them."""
    write_images(folder / "CelebA-HQ-img", [f"{number}.jpg" for number in range(8)])
    write_images(folder / "CelebAMask-HQ-mask-anno", ["0_hair.png", "1_hair.png"])
    (folder / name).write_text(text)
    return DataConfig(root=str(folder), attributes=("Young",), split="none")


def test_a_list_by_another_name_is_recognised(tmp_path, write_images):
    name = "CelebAMask-HQ-attribute-anno.txt"
    config = write_masks(tmp_path, write_images, name, LIST)
    (tmp_path / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx\n0 119613\n")
    assert layout_of(config) == "celeba"
    source = open_source(config, "train")
    assert (source.folder.name, len(source)) == ("CelebA-HQ-img", 8)
    assert check_folder(tmp_path).labels == {"Male": 8, "Young": 0}
    file = opened("auto", tmp_path / name, attributes=("Male",), scheme="none")
    assert (len(file), file.description) == (8, name)
    assert place_roots({}, ["/a/one.txt", "/b/two.csv"], wanted={})["sets"].keys() == {"one", "two"}


def test_a_csv_with_a_column_of_files_by_another_name_is_recognised(tmp_path, write_images):
    rows = "".join(f"{number}.jpg,1,0\n" for number in range(8))
    config = write_masks(tmp_path, write_images, "table.csv", "Photo ID,Male,Young\n" + rows)
    assert layout_of(config) == "csv"
    assert open_source(config, "train").folder.name == "CelebA-HQ-img"


def test_labels_in_no_known_form_are_not_passed_over_for_domains(tmp_path, write_images):
    write_masks(tmp_path, write_images, "attributes.txt", "0.jpg: male, young\n")
    with pytest.raises(DataError, match=r"attributes\.txt seems to list labels.*kind=folders"):
        opened("auto", tmp_path)
    assert len(opened("folders", tmp_path)) == 10


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("training", "testing"), ("train", "valid"), ("TRAIN", "Validation")],
)
def test_splits_in_any_spelling(tmp_path, write_images, train, test):
    write_images(tmp_path, [f"{train}/happy/1.png", f"{train}/sad/2.png"])
    write_images(tmp_path, [f"{test}/happy/3.png", f"{test}/sad/4.png"])
    assert opened("auto", tmp_path).names == ["happy/1.png", "sad/2.png"]
    held_out = opened("auto", tmp_path, split="test")
    assert (held_out.folder.name, held_out.names) == (test, ["happy/3.png", "sad/4.png"])
    assert check_folder(tmp_path).remarks == ()


def test_domains_that_are_really_splits_are_refused(tmp_path, write_images):
    names = [f"{split}/{mood}/1.png" for split in ("part1", "part2") for mood in ("happy", "sad")]
    write_images(tmp_path, names)
    complaint = r"\(part1, part2\) all hold the same folders \(happy, sad\).*one level below"
    with pytest.raises(DataError, match=complaint):
        opened("auto", tmp_path)
    named = opened("auto", tmp_path, attributes=("part2", "part1"))
    assert named.label_space.names == ("part2", "part1")


def test_cyclegan_s_folders_are_not_four_domains(tmp_path):
    for name in ("trainA", "trainB", "testA", "testB"):
        save_noise(tmp_path / name / "1.png", 20, 20)
    with pytest.raises(DataError, match=r"two domains without pairs \(data\.kind = unpaired\)"):
        opened("auto", tmp_path)


def test_system_folders_and_files_that_are_not_read_are_left_out_with_a_line(
    tmp_path, write_images, monkeypatch
):
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    write_images(tmp_path, ["happy/1.png", "sad/2.png", "sad/._2.png", "@eaDir/1.png"])
    write_images(tmp_path, ["sad/__MACOSX/2.png"])
    for name in ("happy/3.HEIC", "happy/4.heic", "sad/5.cr2"):
        shutil.copy(tmp_path / "happy" / "1.png", tmp_path / name)
    source = opened("auto", tmp_path)
    assert source.label_space.names == ("happy", "sad")
    assert source.names == ["happy/1.png", "sad/2.png"]
    heif = "for HEIC, install pillow-heif: pip install 'stargan-deploy[heif]'"
    line = (
        f"left out: 3 files (.heic 2, .cr2 1); {heif}; left out system folders: @eaDir, "
        "sad/__MACOSX"
    )
    assert source.notes == check_folder(tmp_path).remarks == (line,)
    shutil.rmtree(tmp_path / "sad")
    (tmp_path / "happy" / "1.png").unlink()
    with pytest.raises(DataError, match=r"holds no images \(left out: 2 files \(\.heic 2\)"):
        opened("plain", tmp_path / "happy")


def test_links_to_folders_are_followed(tmp_path, write_images):
    write_images(tmp_path / "elsewhere", ["1.png"])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    assert opened("plain", tmp_path / "photos").names == ["more/1.png"]


@pytest.mark.parametrize("ending", ["jpe", "jp2", "tga", "pbm", "pnm", "qoi", "dib", "ico"])
def test_endings_that_pillow_reads(tmp_path, write_images, ending):
    write_images(tmp_path, [f"1.{ending}"], size=(16, 16))
    assert opened("plain", tmp_path).load(0).size == (16, 16)


def write_large(folder):
    """Photos whose middle is even, and whose border is noise."""
    for number in range(3):
        save_noise(folder / f"{number}.png", 400, 400, seed=number)


def test_of_large_photos_the_largest_square_is_taken_and_said(tmp_path):
    write_large(tmp_path)
    config = DataConfig(kind="plain", root=str(tmp_path), image_size=16, crop_size=178)
    prepared = PreparedImages(source := open_source(config, "train"), config)
    whole = np.asarray(source.load(1).resize((16, 16), 2))
    assert np.array_equal(prepared.pixels(1)[0], whole)
    assert prepared.notice == (
        "3 of 3 images are more than twice as large as data.crop_size=178: "
        "their largest squares are taken"
    )
    batch = first_images(source, config, 1)
    assert np.array_equal(batch["image"][0].permute(1, 2, 0).numpy(), prepared.pixels(0)[0])


def test_each_joined_set_has_the_same_rule(tmp_path):
    save_noise(tmp_path / "a" / "x" / "0.png", 400, 400)
    save_noise(tmp_path / "a" / "y" / "0.png", 300, 300)
    faces = SetConfig(kind="synthetic")
    sets = {"faces": faces, "own": SetConfig(root=str(tmp_path / "a"))}
    source = open_source(DataConfig(sets=sets, num_synthetic=2, image_size=16), "train")
    assert [source.load(index).size for index in (2, 3)] == [(400, 400), (178, 178)]


def test_a_domain_of_photos_that_are_not_read_is_not_lost(tmp_path, write_images):
    write_images(tmp_path, ["happy/1.png", "sad/2.png"])
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry" / "3.nef").write_bytes(b"raw")
    with pytest.raises(DataError, match=r"angry holds photos, but none that is read.*\.nef 1"):
        opened("auto", tmp_path)
    named = opened("auto", tmp_path, attributes=("happy", "sad"))
    assert named.label_space.names == ("happy", "sad")


def test_a_dry_run_and_data_check_say_it_too(command, tmp_path, write_images):
    for number in range(4):
        save_noise(tmp_path / "hq" / ("a" if number % 2 else "b") / f"{number}.png", 400, 400)
    said = "images are more than twice as large as data.crop_size=178: their largest squares"
    words = ("train", "smoke", "--data", "hq", "--dry-run", "--set")
    result = command(*words, "data.crop_size=178")
    assert (result.code, f"4 of 4 {said}" in result.err) == (0, True), result.err
    assert f"remark   4 of 4 {said}" in command("data", "check", "hq").out
    assert said not in command(*words, "data.crop_size=0").err
    assert said not in command("data", "check", "hq", "--kind", "plain").out


def test_joined_sets_say_it_as_well(tmp_path):
    for number in range(2):
        save_noise(tmp_path / "a" / f"{number}" / "0.png", 400, 400)
    sets = {"faces": SetConfig(kind="synthetic"), "own": SetConfig(root=str(tmp_path / "a"))}
    config = DataConfig(sets=sets, num_synthetic=2, image_size=16)
    prepared = PreparedImages(source := open_source(config, "train"), config)
    said = "2 of 4 images are more than twice as large as the crop_size of their set"
    assert prepared.notice.startswith(said)
    assert crop_remark(source, config).startswith(said)
