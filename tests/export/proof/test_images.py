"""Photos for calibration and proof: enough of them, of all folders, and never the same."""

import logging

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.card.card import Preprocessing
from stargan_deploy.errors import DataError
from stargan_deploy.export.plan import ExportOptions, plan_export
from stargan_deploy.export.proof.images import (
    MIN_CALIBRATION,
    NUM_CALIBRATION,
    NUM_HELD_OUT,
    calibration_on_photos,
    photos_in,
    proof_photos,
)

PREPROCESSING = Preprocessing(image_size=32)


def write_photos(folder, count, *, first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder


def calibrate(folder, *, spare=True):
    return calibration_on_photos(folder, PREPROCESSING, spare=spare)


@pytest.mark.parametrize("count", [1, MIN_CALIBRATION - 1])
def test_too_few_photos_are_refused(tmp_path, count):
    write_photos(tmp_path, count)
    with pytest.raises(
        DataError, match=f"holds {count} different photos, and INT8 needs 8"
    ) as found:
        calibrate(tmp_path)
    assert "leave out `calibration`" in found.value.hint


def test_copies_of_a_photo_count_once(tmp_path):
    photo = next(write_photos(tmp_path, 1).iterdir()).read_bytes()
    for number in range(20):
        (tmp_path / f"copy{number}.png").write_bytes(photo)
    with pytest.raises(DataError, match="holds 1 different photos"):
        calibrate(tmp_path)


@pytest.mark.parametrize(
    ("count", "warns"),
    [(MIN_CALIBRATION, True), (NUM_CALIBRATION - 1, True), (NUM_CALIBRATION, False)],
)
def test_few_photos_are_warned_of_and_none_proves_what_it_calibrated(
    tmp_path, caplog, count, warns
):
    write_photos(tmp_path, count)
    with caplog.at_level(logging.WARNING, "stargan_deploy"):
        found = calibrate(tmp_path)
    assert (
        f"INT8 is calibrated on {count} photos, which is few: 128 are wanted" in caplog.text
    ) == (warns)
    assert found.spare
    assert len(found.used) + len(found.spare) == count
    assert not set(found.used) & set(found.spare)
    assert found.facts["ranges"] + found.facts["held_out"] == len(found.used)


def test_many_photos_are_not_all_used(tmp_path):
    found = calibrate(write_photos(tmp_path, 200))
    assert (found.facts["ranges"], found.facts["held_out"]) == (NUM_CALIBRATION, NUM_HELD_OUT)
    assert len(found.spare) == 200 - NUM_CALIBRATION - NUM_HELD_OUT


def test_folders_take_turns(tmp_path):
    for number, name in enumerate("abc"):
        write_photos(tmp_path / name, 100, first=1000 * number)
    used = calibrate(tmp_path).used
    assert {name: sum(p.parent.name == name for p in used) for name in "abc"} == dict.fromkeys(
        "abc", 48
    )
    assert [path.parent.name for path in photos_in(tmp_path)[:6]] == list("abcabc")
    names = [path.name for path in photos_in(tmp_path / "a")]
    assert names != sorted(names)


def test_proof_photos_are_never_those_of_calibration_even_as_copies(tmp_path):
    used = calibrate(write_photos(tmp_path / "c", 20), spare=False).used
    assert len(used) == 20
    write_photos(tmp_path / "p", 25, first=10)  # ten of them have the content of others above
    assert sorted(p.name for p in proof_photos(tmp_path / "p", used)) == [
        f"{number:04}.png" for number in range(20, 35)
    ]
    with pytest.raises(DataError, match="are those that INT8 is calibrated on"):
        proof_photos(tmp_path / "c", used)


def test_the_card_keeps_what_a_model_was_calibrated_on(checkpoint, tmp_path):
    photos = write_photos(tmp_path / "photos", 16)
    options = ExportOptions(precision="int8", calibration=photos)
    plan = plan_export(checkpoint, out=tmp_path / "x.onnx", options=options)
    facts = plan.card.export["calibration"]
    assert (facts["faces"], facts["ranges"], facts["held_out"]) == ("photos", 13, 1)
    write_photos(tmp_path / "photos", 20)
    again = plan_export(checkpoint, out=tmp_path / "x.onnx", options=options)
    assert again.card.export["calibration"]["sha256"] != facts["sha256"]
    synthetic = plan_export(
        checkpoint, out=tmp_path / "x.onnx", options=ExportOptions(precision="int8")
    )
    assert synthetic.card.export["calibration"]["faces"] == "synthetic"
