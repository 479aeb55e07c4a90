import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from stargan_deploy.cli.app import app


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


@pytest.mark.parametrize(("name", "extra"), [("batch", "[faces]"), ("batch", "[ray]")])
def test_help_names_the_extras(command, name, extra):
    """Markup once ate their names: "needs the extra ."."""
    assert f"needs the extra {extra}." in words_of(command(name, "--help").out)


def test_no_help_holds_words_that_are_taken_for_markup():
    def commands(group):
        for command in getattr(group, "commands", {}).values():
            yield command
            yield from commands(command)

    for command in commands(typer.main.get_command(app)):
        for text in (command.help, *(getattr(option, "help", "") for option in command.params)):
            assert not re.search(r"(?<!\\)\[[a-z/]", text or ""), (command.name, text)


def words_of(text):
    return " ".join(text.replace("│", " ").split())


def test_no_words_show_the_commands(command):
    result = command()
    assert result.code == 2
    assert "batch" in result.out + result.err
    assert "stargan-deploy: " not in result.err


@pytest.mark.slow
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
