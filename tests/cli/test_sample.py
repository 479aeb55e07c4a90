import json
import shutil

import numpy as np
import pytest
from PIL import Image

from stargan_deploy.files.metadata import MADE_SOURCE_TYPE
from stargan_deploy.inference import sampler
from tests.tiny_families import lively_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively_model("cgan", tmp_path_factory.mktemp("cgan"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Exports made on demand stay inside the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_it_writes_pictures_and_a_grid(command, model, tmp_path):
    result = command("sample", "--model", model, "--count", 11, "--seed", 7)
    assert result.code == 0, result.err
    names = sorted(path.name for path in (tmp_path / "sampled").iterdir())
    assert names == [*(f"{number:02}.png" for number in range(11)), "grid.png"]
    assert pixels(tmp_path / "sampled" / "03.png").shape == (28, 28, 3)
    assert "wrote 11 images" in result.out


def test_pictures_and_grid_say_that_they_are_made_by_ai(command, model, tmp_path):
    assert command("sample", "--model", model, "--count", 2).code == 0
    files = sorted((tmp_path / "sampled").iterdir())
    assert [path.name for path in files] == ["0.png", "1.png", "grid.png"]
    for path in files:
        with Image.open(path) as image:
            packet = image.info["XML:com.adobe.xmp"]
        assert f'DigitalSourceType="{MADE_SOURCE_TYPE}"' in packet
        assert 'xmp:CreatorTool="stargan-deploy ' in packet


def test_pictures_of_two_samplings_are_never_mixed(command, model, tmp_path):
    words = ("sample", "--model", model, "-o", "out")
    assert command(*words, "--count", 12).code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for dry_run in ((), ("--dry-run",)):
        refused = command(*words, "--count", 3, *dry_run)
        assert refused.code == 2
        assert (
            "out holds images of an earlier sampling: 00.png, ...; replace them with --overwrite"
            in (refused.err.splitlines()[-1])
        )
    assert command(*words, "--count", 3, "--overwrite", "--dry-run").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_overwriting_takes_away_what_a_sampling_made_and_nothing_else(command, model, tmp_path):
    words = ("sample", "--model", model, "-o", "out")
    assert command(*words, "--count", 12).code == 0
    Image.new("RGB", (4, 4)).save(tmp_path / "out" / "07.png")
    (tmp_path / "out" / "notes.txt").touch()
    assert command(*words, "--count", 3, "--overwrite").code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0.png", "07.png", "1.png", "2.png", "grid.png", "notes.txt"]


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
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_bad_wishes_are_one_line(command, model, tmp_path, words, complaint, dry_run):
    result = command("sample", "--model", model, *words, *dry_run)
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert complaint in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["taken", "taken/below", "/proc/below"])
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_a_place_that_cannot_be_written_is_known_before_pictures_are_made(
    command, model, tmp_path, output, dry_run, monkeypatch
):
    monkeypatch.setattr(sampler.Sampler, "sample", lambda *_: pytest.fail("pictures were made"))
    (tmp_path / "taken").touch()
    result = command("sample", "--model", model, "-o", output, *dry_run)
    assert result.code == 9
    assert f"cannot write {output}: " in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_checkpoint_is_exported_once_for_another_backend(command, model, tmp_path):
    words = ("sample", "--model", model, "--count", 2, "--device", "cpu")
    onnx = (*words, "--backend", "onnx")
    assert command(*onnx, "--precision", "fp16", "--dry-run").code == 0
    assert not list(tmp_path.iterdir())
    first = command(*onnx, "-o", "a")
    assert first.code == 0, first.err
    assert "to onnx-fp32 first, to be kept in" in first.err
    assert "(onnx on cpu)" in first.err
    assert "using the export of" in command(*onnx, "-o", "b").err
    assert "auto: " in command(*words, "-o", "c").err
    assert np.array_equal(pixels(tmp_path / "a" / "1.png"), pixels(tmp_path / "b" / "1.png"))


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--precision", "fp16"), "--precision goes with a --backend; auto chooses both"),
        (("--backend", "quick"), "unknown backend 'quick'; known: auto, "),
        (("--backend", "onnx", "--precision", "bf16"), "there is no onnx at precision 'bf16'"),
    ],
)
def test_engines_that_do_not_exist_are_refused(command, model, tmp_path, words, complaint, dry_run):
    result = command("sample", "--model", model, *words, *dry_run)
    assert result.code == 2
    assert complaint in result.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_model_that_translates_is_refused(command, checkpoint):
    result = command("sample", "--model", checkpoint)
    assert result.code == 4
    assert "makes no images from noise" in result.err


def test_without_a_run_it_says_what_to_train(command):
    result = command("sample")
    assert result.code == 4
    (line,) = result.err.splitlines()
    assert "no run in ./runs yet, and the demo model translates faces; train a model" in line
    assert "stargan-deploy train train/gan.toml --data DIR" in line
    assert "without a run, train one first" in " ".join(
        command("sample", "-h").out.replace("│", " ").split()
    )


def test_the_newest_run_is_taken(command, model, tmp_path):
    folder = tmp_path / "runs" / "digits" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(model, folder)
    result = command("sample", "--count", 1)
    assert result.code == 0, result.err
    assert "(newest run)" in result.err
