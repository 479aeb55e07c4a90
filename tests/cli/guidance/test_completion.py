"""Completion, asked for as a shell asks: by environment variables."""

import os
import subprocess
import sys

import pytest

from stargan_deploy.data.layouts.synthetic import write_celeba
from tests.conftest import make_checkpoint
from tests.tiny_families import save_noise

PROGRAM = "from stargan_deploy.cli import main; main()"


@pytest.fixture
def completions(command, monkeypatch, tmp_path):
    """The words that bash would offer."""
    make_checkpoint(tmp_path / "own.safetensors", attributes=("Black_Hair", "Male", "Big Nose"))

    def ask(*words):
        monkeypatch.setenv("_STARGAN_DEPLOY_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["stargan-deploy", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        result = command()
        assert (result.code, result.err) == (0, "")
        return result.out.splitlines() if result.out.strip() else []

    return ask


OWN = ("--model", "own.safetensors")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("ba",), ["batch"]),
        (("batch", *OWN, "--attrs", ""), ["Black_Hair", "Male", "Big\\ Nose"]),
        (("batch", *OWN, "--attrs", "Bl"), ["Black_Hair"]),
        (("batch", *OWN, "photos", "--attrs", "Male,B"), ["Male,Black_Hair", "Male,Big\\ Nose"]),
        (("batch", *OWN, "--attrs", "Male", "--attrs", "M"), ["Male"]),
        (("batch", "--model", "ow"), ["own.safetensors"]),
        (("batch", *OWN, "--direction", ""), ["translate"]),
        (("batch", "--fit", "p"), ["pad"]),
        (("batch", "--strength", ""), []),
        (("batch", "--model", "missing", "--attrs", ""), []),
        (("batch", "--gal"), ["--gallery"]),
        (("export", "o"), ["own.safetensors"]),
        (("export", "--format", "o"), ["onnx", "openvino"]),
        (("export", "--format", "openvino", "--precision", ""), ["fp32", "bf16", "int8"]),
        (("train", "faces"), ["faces64"]),
        (("train", "--attrs", "E"), ["Eyeglasses"]),
        (("train", "--data", "faces", "--attrs", "Blo"), ["Blond_Hair"]),
        (("train", "--data", "moods", "--attrs", ""), ["happy", "sad"]),
        (("train", "--data", "mine.csv", "--attrs", ""), ["Wings", "Tail"]),
        (("data", "check", "faces", "--attrs", "Mal"), ["Male"]),
        (("data", "c"), ["check"]),
        (("train", "--init-from", "own"), ["own.safetensors"]),
        (("bench", "c"), ["compare"]),
        (("bench", "--back"), ["--backends"]),
        (("bench", "--backends", "eager,o"), ["eager,onnx", "eager,openvino"]),
        (("bench", "compare", "--fail"), ["--fail-over"]),
        (("doctor", "--backend", "pt"), ["pt2"]),
        (("batch", "--model", "x", *OWN, "--attrs", "M"), ["Male"]),
    ],
)
def test_words_are_completed(completions, tmp_path, words, wanted):
    write_celeba(tmp_path / "faces", 2, size=32)
    for mood in ("happy", "sad"):
        save_noise(tmp_path / "moods" / mood / "1.png", 8, 8)
    (tmp_path / "mine.csv").write_text("file;Wings;Tail\n1.png;1;0\n")
    found = completions(*words)
    assert found == wanted


def test_without_a_model_the_newest_run_s_or_the_demo_s_labels_are_offered(completions):
    assert completions("batch", "--attrs", "Blo") == ["Blond_Hair"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed(tmp_path, shell):
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    done = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, option, shell],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for option in ("--show-completion", "--install-completion")
    ]
    assert f"_STARGAN_DEPLOY_COMPLETE=complete_{shell}" in done[0]
    assert f"{shell} completion installed in {tmp_path}" in done[1]
    written = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert f"_STARGAN_DEPLOY_COMPLETE=complete_{shell}" in written


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("batch", "x", "--attrs", "Blond", "Hair"), "--attrs 'Blond Hair', and commas between"),
        (("batch", "x", "--attrs", "Male", "Young"), "'Young' after --attrs Male is neither"),
        (("batch", "x", "--attrs=Blond", "Hair", "-q"), "--attrs 'Blond Hair'"),
        (("train", "--attrs", "Blond", "Hair", "--dry-run"), "--attrs Blond,Hair"),
        (("convert", "G.ckpt", "--attrs", "Black", "Hair"), "--attrs 'Black Hair'"),
        (("data", "check", "x", "--attrs", "Blond", "Hair"), "--attrs 'Blond Hair'"),
        (("sample", "--label", "big", "dog"), "--label 'big dog'"),
    ],
)
def test_names_without_quotes_are_refused_with_both_ways_out(command, words, complaint):
    result = command(*words)
    assert (result.code, result.out) == (2, "")
    assert complaint in result.err


def test_photos_and_recipes_may_follow_names(command, tmp_path):
    (tmp_path / "photos").mkdir()
    assert "after --attrs" not in command("batch", "--attrs", "Male", "photos").err
    assert command("train", "--attrs", "Male", "smoke", "--dry-run").code == 0
