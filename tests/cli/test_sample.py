import json

import numpy as np
import pytest
from PIL import Image

from tests.families import lively_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively_model("cgan", tmp_path_factory.mktemp("cgan"))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_it_writes_pictures_and_a_grid(command, model, tmp_path):
    result = command("sample", "--model", model, "--count", 11, "--seed", 7)
    assert result.code == 0, result.err
    names = sorted(path.name for path in (tmp_path / "sampled").iterdir())
    assert names == [*(f"{number:02}.png" for number in range(11)), "grid.png"]
    assert pixels(tmp_path / "sampled" / "03.png").shape == (28, 28, 3)
    assert "wrote 11 pictures" in result.out


def test_the_same_seed_gives_the_same_pictures_from_an_export(command, model, tmp_path):
    assert command("export", model, "--out", "m.onnx", "--max-batch", 4).code == 0
    command("sample", "--model", model, "--count", 3, "--label", "2", "-o", "a")
    command("sample", "--model", "m.onnx", "--count", 3, "--label", "2", "-o", "b")
    pairs = ((tmp_path / folder / "1.png" for folder in "ab"),)
    for first, second in pairs:
        assert np.abs(pixels(first).astype(int) - pixels(second)).max() <= 1


def test_a_dry_run_writes_nothing(command, model, tmp_path):
    result = command("sample", "--model", model, "--count", 2, "--dry-run", "--json")
    assert json.loads(result.out)["pictures"] == ["sampled/0.png", "sampled/1.png"]
    assert not (tmp_path / "sampled").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--label", "11"), "unknown class '11'"),
        (("--count", "0"), "count of 1 or more"),
        (("--seed", "-1"), "negative"),
    ],
)
def test_bad_wishes_are_one_line(command, model, words, complaint):
    result = command("sample", "--model", model, *words)
    assert result.code == 2
    assert complaint in result.err
    assert "Traceback" not in result.err


def test_a_model_that_translates_is_refused(command, checkpoint):
    result = command("sample", "--model", checkpoint)
    assert result.code == 4
    assert "makes no pictures from noise" in result.err
