import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("words", "complaint", "see"),
    [
        (["nonsense"], "No such command 'nonsense'", ""),
        (["batch"], "Missing option '--input'", " batch"),
        (["train", "--sett", "x"], "No such option", " train"),
        (["demo", "--count", "0"], "greater than or equal to 1", " demo"),
        (["batch", "--input", "x", "--weights", "z"], "is not one of 'ema', 'raw'", " batch"),
        (["bench", "--budgets", "3"], "No such option", " bench"),
        (["bench", "compare", "a.json"], "Missing argument", " bench compare"),
        (["data", "check", "--kinds", "x"], "No such option", " data check"),
    ],
)
def test_words_that_make_no_sense_get_one_line(command, words, complaint, see):
    result = command(*words)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1
    assert complaint in result.err
    assert f"(see: stargan-deploy{see} --help)" in result.err


def test_no_words_show_the_commands(command):
    result = command()
    assert result.code == 2
    assert "batch" in result.out + result.err
    assert "stargan-deploy: " not in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_training_and_leaves(tmp_path, number):
    smoke = Path(__file__).parent.parent.parent / "train" / "smoke.toml"
    endless = ("--set", "train.steps=100000", "--set", "output.checkpoint_every=100000")
    log = tmp_path / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "stargan_deploy", "train", smoke, "--out", "run", *endless],
            cwd=tmp_path,
            stderr=stream,
        )
        while "step " not in log.read_text() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    said = log.read_text()
    assert f"stopped by {number.name} at step" in said.splitlines()[-1]
    assert "train --resume --out run" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors"))) == 1
