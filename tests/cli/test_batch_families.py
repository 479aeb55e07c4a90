"""Models without labels translate folders too."""

import numpy as np
import pytest
from PIL import Image

import stargan_deploy
from stargan_deploy.files.images import load_image
from tests.tiny_families import lively_model, save_noise


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    families = ("pix2pix", "cyclegan", "cgan")
    return {name: lively_model(name, tmp_path_factory.mktemp(name)) for name in families}


@pytest.fixture
def photos(tmp_path):
    for number in range(3):
        save_noise(tmp_path / "photos" / f"{number}.png", 70, 66, seed=number)
    return tmp_path / "photos"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_pix2pix_needs_no_attributes(command, models, photos, tmp_path):
    result = command("batch", "-i", photos, "--model", models["pix2pix"], "--backend", "eager")
    assert result.code == 0, result.err
    assert sorted(p.name for p in (tmp_path / "translated").glob("*.png")) == [
        "0.png",
        "1.png",
        "2.png",
    ]
    assert pixels(tmp_path / "translated" / "1.png").shape == (64, 64, 3)


def test_cyclegan_goes_both_ways(command, models, photos, tmp_path):
    for direction in ("a2b", "b2a"):
        words = ("--model", models["cyclegan"], "--direction", direction, "-o", direction)
        result = command("batch", "-i", photos, *words, "--backend", "eager")
        assert result.code == 0, result.err
    there, back = (pixels(tmp_path / folder / "0.png") for folder in ("a2b", "b2a"))
    assert there.shape == (16, 16, 3)
    assert not np.array_equal(there, back)


def test_an_export_of_both_directions_runs_too(command, models, photos, tmp_path):
    assert command("export", models["cyclegan"], "--out", "m.onnx", "--max-batch", 4).code == 0
    words = ("--model", "m.onnx", "--direction", "b2a")
    assert command("batch", "-i", photos, *words, "-o", "onnx").code == 0
    words = ("--model", models["cyclegan"], "--direction", "b2a", "--backend", "eager")
    assert command("batch", "-i", photos, *words, "-o", "eager").code == 0
    first, second = (pixels(tmp_path / folder / "2.png") for folder in ("onnx", "eager"))
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize(
    ("family", "words", "complaint"),
    [
        ("cyclegan", (), "goes a2b and b2a; choose with --direction"),
        ("cyclegan", ("--direction", "a2c"), "unknown direction 'a2c'; did you mean"),
        ("pix2pix", ("--attrs", "Blond_Hair"), "takes no labels"),
        ("pix2pix", ("--strength", "0.5"), "this model has none"),
        ("pix2pix", ("--size", "100"), "multiples of 64"),
        ("pix2pix", ("--source", "zeros"), "--source zeros gives the photos' own labels, and this"),
        ("pix2pix", ("--source", "lab.csv"), "this model has none; leave it out"),
        ("cgan", (), "translates no images, it has sample"),
    ],
)
def test_wishes_that_make_no_sense_are_one_line(command, models, photos, family, words, complaint):
    result = command("batch", "-i", photos, "--model", models[family], *words)
    assert result.code == 2, result.err
    assert complaint in result.err
    assert "Traceback" not in result.err


def test_an_export_that_wants_masks_says_what_to_do(command, models, photos):
    assert command("export", models["pix2pix"], "--stochastic", "--out", "m.onnx").code == 0
    result = command("batch", "-i", photos, "--model", "m.onnx")
    assert result.code == 2
    assert "exported with --stochastic and takes dropout masks" in result.err
    assert "export it without --stochastic" in result.err
    assert "sample" not in result.err


def test_the_size_that_is_told_is_the_one_that_comes_out(command, models, photos, tmp_path):
    save_noise(photos / "large.png", 200, 200)
    words = ("batch", "-i", photos, "--model", models["pix2pix"], "--backend", "eager")
    result = command(*words, "--size", 128)
    assert "note: larger than 128x128: 1 of 4 photos; they come out at 128x128, as --size says" in (
        result.err
    )
    assert pixels(tmp_path / "translated" / "large.png").shape == (128, 128, 3)
    own = command(*words, "-o", "own")
    assert "4 of 4 photos; they come out at 64x64, the size of this model" in own.err


def test_of_pairs_the_half_of_the_training_is_translated(command, models, tmp_path):
    for number in range(2):
        save_noise(tmp_path / "pairs" / f"{number}.png", 128, 64, seed=number)
        with Image.open(tmp_path / "pairs" / f"{number}.png") as pair:
            (tmp_path / "halves").mkdir(exist_ok=True)
            pair.crop((64, 0, 128, 64)).save(tmp_path / "halves" / f"{number}.png")
    words = ("--model", models["pix2pix"], "--backend", "eager")
    result = command("batch", "-i", "pairs", *words, "-o", "a", "--grid")
    assert result.code == 0, result.err
    assert "pairs side by side: 2 of 2 photos; their right half is taken" in result.err
    assert "pairs" not in command("batch", "-i", "halves", *words, "-o", "b", "--grid").err
    for name in ("0.png", "1.png"):
        assert np.array_equal(pixels(tmp_path / "a" / name), pixels(tmp_path / "b" / name))
    assert "of pairs side by side the right half" in command("info", models["pix2pix"]).out
    sheets = [np.asarray(load_image(next((tmp_path / f).glob("contact-sheet*")))) for f in "ab"]
    assert np.abs(sheets[0].astype(int) - sheets[1]).max() <= 8
    model = stargan_deploy.load(models["pix2pix"], backend="eager")
    pair = Image.open(tmp_path / "pairs/0.png")
    assert (
        np.abs(np.asarray(model.translate(pair)).astype(int) - pixels(tmp_path / "a/0.png")).max()
        <= 1
    )
