"""A setting of the library is an option of its command, or left out on purpose."""

import inspect
from dataclasses import fields

import pytest
import typer

from stargan_deploy.backends.exporter import EngineOptions
from stargan_deploy.batch.plan import ImageOptions
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.run import Pages
from stargan_deploy.cli.app import app
from stargan_deploy.cli.batch.command import batch
from stargan_deploy.cli.batch.sample import sample
from stargan_deploy.cli.commands import OnceCommand
from stargan_deploy.cli.models.export import export
from stargan_deploy.cli.options import settings
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.inference.sampler import SampleRequest

OTHERWISE = {"entry_point": "direction", "strengths": "strength", "format": "format_"}
NO_OPTION = {"earlier", "engine", "size"}
"""The runtime of a resumed run, settings that are options one by one, and `ImageOptions.size`."""


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (batch, ImageOptions),
        (batch, ResumePolicy),
        (batch, Pages),
        (batch, RuntimeRequest),
        (sample, RuntimeRequest),
        (sample, SampleRequest),
        (export, ExportOptions),
        (export, EngineOptions),
    ],
)
def test_every_setting_is_an_option(command, kind):
    options = set(inspect.signature(command).parameters)
    names = {field.name for field in fields(kind)} - NO_OPTION
    assert not {OTHERWISE.get(name, name) for name in names} - options


def test_settings_are_taken_from_options_of_the_same_names():
    found = settings(Pages, {"grid": True, "gallery": False, "quiet": True}, gallery=True)
    assert found == Pages(grid=True, gallery=True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("batch", "x", "--model", "a", "--model", "a"), "--model is given twice; give it once"),
        (("batch", "x", "-o", "a", "--output", "b"), "--output is given twice"),
        (("batch", "x", *("--size", "64") * 3), "--size is given 3 times"),
        (("export", "--format", "onnx", "--format", "trt"), "--format is given twice"),
        (("export", "--precision=fp16", "--precision", "fp32"), "--precision is given twice"),
        (("train", "--out", "a", "--out", "b"), "--out is given twice"),
        (("data", "check", "x", "--kind", "csv", "--kind", "csv"), "--kind is given twice"),
        (("bench", "--model", "a", "--model", "b"), "--model is given twice"),
        (("sample", "--seed", "1", "--seed", "2"), "--seed is given twice"),
    ],
)
def test_an_option_of_one_value_given_twice_is_refused(command, words, complaint):
    result = command(*words)
    assert (result.code, result.out) == (2, "")
    assert complaint in result.err


def test_flags_may_be_repeated(command):
    assert "given" not in command("batch", "x", "--grid", "--grid", "-q", "-q").err


def test_every_command_refuses_repeated_options():
    def commands(typer_app):
        yield from typer_app.registered_commands
        for group in typer_app.registered_groups:
            yield from commands(group.typer_instance)

    assert all(issubclass(found.cls, OnceCommand) for found in commands(app))


def test_out_and_output_are_one_option_everywhere():
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None) or {name: command}
        for each in inner.values():
            names = [
                set(option.opts)
                for option in each.params
                if {"--out", "--output"} & set(option.opts)
            ]
            found |= {f"{name} {each.name}": opts for opts in names}
    assert len(found) >= 7
    assert all(opts == {"--out", "--output", "-o"} for opts in found.values()), found
