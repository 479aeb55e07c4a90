"""Folders of photos in styles: references, seeds, strips between two styles."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.tiny_families import save_noise


@pytest.fixture
def photos(tmp_path):
    for number in range(2):
        save_noise(tmp_path / "photos" / f"{number}.png", 70, 66, seed=number)
    for number in range(2):
        save_noise(tmp_path / "references" / f"r{number}.png", 80, 80, seed=10 + number)
    return tmp_path / "photos"


@pytest.fixture
def batch(command, styled, photos):
    def run(*words, model="plain"):
        backend = ("--backend", "eager", "--batch-size", 4)
        return command("batch", "-i", photos, "--model", styled[model], *backend, *words)

    return run


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_one_reference_one_folder(batch, tmp_path):
    result = batch("--domain", "dog", "--reference", tmp_path / "references" / "r0.png")
    assert result.code == 0, result.err
    assert files(tmp_path / "translated") == ["0.png", "1.png"]
    assert pixels(tmp_path / "translated" / "0.png").shape == (64, 64, 3)


def test_a_folder_of_references_and_contact_sheets(batch, tmp_path):
    words = ("--domain", "dog", "--domain", "cat", "--reference", tmp_path / "references")
    result = batch(*words, "--grid")
    assert result.code == 0, result.err
    folders = ("cat-r0", "cat-r1", "dog-r0", "dog-r1")
    assert files(tmp_path / "translated") == [f"{f}/{n}.png" for f in folders for n in (0, 1)]
    sheet = pixels(tmp_path / "translated" / "contact-sheet-001.jpg")
    assert sheet.shape[0] > 3 * 160  # the references, and both photos
    first, second = (pixels(tmp_path / "translated" / f / "0.png") for f in folders[:2])
    assert not np.array_equal(first, second)


def test_seeds_are_repeated_and_resumed(batch, tmp_path):
    words = ("--domain", "wild", "--seed", 7, "--styles", 2)
    assert batch(*words, "-o", "one").code == 0
    assert batch(*words, "-o", "two").code == 0
    names = files(tmp_path / "one")
    assert names == [f"wild-style-{s}-of-seed-7/{n}.png" for s in (1, 2) for n in (0, 1)]
    for name in names:
        assert np.array_equal(pixels(tmp_path / "one" / name), pixels(tmp_path / "two" / name))
    again = batch(*words, "-o", "one", "--resume")
    assert (again.code, "2 of them before" in again.out) == (0, True)


def test_another_reference_of_the_same_name_is_another_style(batch, tmp_path):
    reference = tmp_path / "references" / "r0.png"
    words = ("--domain", "dog", "--reference", reference)
    assert batch(*words).code == 0
    save_noise(reference, 80, 80, seed=99)
    refused = batch(*words, "--resume")
    assert refused.code == 2
    assert "options.styles" in refused.err


def test_a_strip_leads_from_one_style_to_another(batch, tmp_path):
    result = batch("--domain", "dog", "--seed", 3, "--interpolate", 3)
    assert result.code == 0, result.err
    strip = pixels(tmp_path / "translated" / "0.png")
    assert strip.shape == (64, 4 * 64, 3)
    ends = []
    for number in (1, 2):
        one = batch("--domain", "dog", "--seed", 3, "--styles", 2, "-o", "ends")
        assert one.code == 0 or number == 2
        ends.append(pixels(tmp_path / "ends" / f"dog-style-{number}-of-seed-3" / "0.png"))
    assert np.array_equal(strip[:, 64:128], ends[0])
    assert np.array_equal(strip[:, 192:], ends[1])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "name at least one target with --attrs; this model knows: cat, dog, wild"),
        (("--domain", "bird"), "unknown attribute 'bird'"),
        (("--domain", "dog", "--reference", "none.png"), "no such reference: none.png"),
        (("--domain", "dog", "--strength", "0.5"), "are about labels of photos"),
        (("--domain", "dog", "--seed", "-1"), "cannot be negative"),
        (("--domain", "dog", "--interpolate", "3", "--styles", "4"), "there are 4"),
    ],
)
def test_wishes_that_make_no_sense_are_one_line(batch, words, complaint):
    result = batch(*words)
    assert result.code != 0
    assert complaint in result.err.splitlines()[-1]


def test_a_reference_that_no_face_fills(batch, tmp_path):
    save_noise(tmp_path / "strip.png", 400, 50)
    result = batch("--domain", "dog", "--reference", tmp_path / "strip.png")
    assert result.code == 3
    assert "is 400x50, which no face fills; a reference has sides from 32" in result.err


def test_styles_are_for_models_that_have_them(command, checkpoint, photos):
    words = ("batch", "-i", photos, "--model", checkpoint, "--attrs", "Male", "--seed", 1)
    result = command(*words)
    assert result.code == 2
    assert "this model has no styles, so that --reference, --seed, --styles" in result.err


def test_heat_maps_are_asked_for(batch, tmp_path):
    refused = batch("--domain", "dog", model="with_skip")
    assert refused.code == 2
    assert "takes heat maps of each face, 'mask_0' and 'mask_1'" in refused.err
    assert "--heat-maps" in refused.err
    assert batch("--domain", "dog", "--heat-maps", "zeros", model="with_skip").code == 0
    report = json.loads((tmp_path / "translated" / "report.json").read_text())
    assert report["num_translated"] == 2
