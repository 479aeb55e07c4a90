"""The line "next: ..." after a command is a command that exists."""

import shlex

import pytest
import typer.main

from stargan_deploy.cli.app import app
from stargan_deploy.data.layout import load_layout
from stargan_deploy.data.layouts.synthetic import write_celeba
from stargan_deploy.data.registry import LAYOUTS
from stargan_deploy.training.recipe import packaged_recipes
from tests.conftest import make_checkpoint
from tests.tiny_families import save_noise, write_digits, write_domains, write_pairs


def next_words(text):
    """The words of the line, which the command that they name must take."""
    (line,) = [line for line in text.splitlines() if line.startswith("next: ")]
    program, *words = shlex.split(line.removeprefix("next: "))
    assert program == "stargan-deploy"
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)
    return words


def test_each_layout_names_a_recipe_of_the_package():
    assert {load_layout(name).recipe for name in LAYOUTS} <= packaged_recipes().keys()


@pytest.mark.parametrize(
    ("write", "recipe"),
    [
        (lambda folder: write_celeba(folder, 2, size=32), "faces64"),
        (write_digits, "dcgan"),
        (write_pairs, "pix2pix"),
        (lambda folder: save_noise(folder / "trainA" / "1.png", 8, 8), None),
        (lambda folder: save_noise(folder / "1.png", 8, 8), "progan"),
        (write_domains, "faces64"),
    ],
)
def test_after_data_check(command, tmp_path, write, recipe):
    write(tmp_path / "my data")
    result = command("data", "check", "my data")
    if recipe is None:  # a domain is missing, so that there is nothing to train on yet
        assert (result.code, "next: " in result.err) == (3, False)
        return
    assert next_words(result.err) == ["train", recipe, "--data", "my data"]
    assert "next: " not in command("data", "check", "my data", "-q").err


def test_from_a_checkpoint_to_photos(command, tmp_path, official):
    make_checkpoint(tmp_path / "own.safetensors", attributes=("Black Hair", "Male"))
    assert next_words(command("info", "own.safetensors").err) == ["export", "own.safetensors"]
    use = ["batch", "photos/", "--attrs", "flip:Black Hair", "--model", "exports/own.onnx"]
    assert next_words(command("export", "own.safetensors").err) == use
    assert next_words(command("export", "own.safetensors").err) == use
    assert next_words(command("verify", "exports/own.onnx").err) == use
    assert next_words(command("info", "exports/own.onnx").err) == use
    assert "next: " not in command("info", "exports/own.classifier.onnx").err
    save_noise(tmp_path / "photos" / "1.png", 40, 40)
    result = command("batch", "photos", "--attrs", "Male", "--model", "exports/own.onnx")
    assert "next: the same command with --resume --gallery" in result.err
    (tmp_path / "photos" / "2.png").write_bytes(b"broken")
    words = ("batch", "photos", "--attrs", "Male", "--model", "exports/own.onnx", "--resume")
    again = command(*words, "--gallery")
    assert "the same command with --resume tries them again" in again.err
    assert (tmp_path / "translated" / "gallery.html").is_file()
    words = ("--attrs", "Black_Hair,Blond_Hair,Brown_Hair,Male,Young", "--image-size", "32")
    converted = command("convert", official / "tiny-G.ckpt", *words)
    assert next_words(converted.err) == ["export", "model.safetensors"]
