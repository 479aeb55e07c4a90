"""A setting of the library is an option of its command, or left out on purpose."""

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import pytest
import typer

from stargan_deploy.backends.exporter import EngineOptions
from stargan_deploy.batch.plan import ImageOptions
from stargan_deploy.batch.resume import ResumePolicy
from stargan_deploy.batch.run import Pages
from stargan_deploy.cli.app import COMMANDS, app
from stargan_deploy.cli.commands import ImportedCommands, OnceCommand
from stargan_deploy.cli.flags import flag_of
from stargan_deploy.cli.options import Fields, with_fields
from stargan_deploy.errors import UsageError
from stargan_deploy.export.options import ExportOptions
from stargan_deploy.inference.choose import RuntimeRequest
from stargan_deploy.inference.sampler import SampleRequest
from stargan_deploy.serving.limits import Limits
from stargan_deploy.serving.models import Batching
from stargan_deploy.serving.server import Address

PLACES = {name: place for name, (place, _) in COMMANDS.items()}

NO_OPTION = {"earlier", "engine", "entry_point", "size"}
"""The runtime of a resumed run, settings that are options one by one, and the model's direction."""


def of(name):
    """The options of a command by the names of its parameters."""
    return {option.name: option for option in ImportedCommands(PLACES)[name].params}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("batch", ImageOptions),
        ("batch", ResumePolicy),
        ("batch", Pages),
        ("batch", RuntimeRequest),
        ("sample", RuntimeRequest),
        ("sample", SampleRequest),
        ("export", ExportOptions),
        ("export", EngineOptions),
        ("serve", Address),
        ("serve", Batching),
        ("serve", Limits),
    ],
)
def test_every_setting_is_an_option_with_help(command, kind):
    options = of(command)
    for name in {field.name for field in fields(kind)} - NO_OPTION:
        assert len(options[name].help) > 8
        assert options[name].opts[0] == flag_of(name)


def test_docstrings_are_the_help():
    options = of("batch")
    assert options["fit"].help.startswith("How a whole photo becomes a square, without --faces. ")
    assert options["overwrite"].help.startswith("Replace existing files")  # "Whether to replace"
    assert options["size"].show_default == "the size of training"  # "None takes the size ..."
    assert "None takes" not in "".join(option.help for option in options.values())


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 3
    """How deep it goes."""


@dataclass(frozen=True, kw_only=True)
class Outer:
    names: tuple[str, ...] = ()
    """Which ones; empty takes all."""
    span: tuple[float, float] | None = None
    is_left: bool = False
    """Whether to go left."""
    own: str = "kept"
    inner: Inner = Inner()


def test_a_command_takes_dataclasses():
    taken = {}

    def command(outer: Annotated[Outer, Fields(without=("own",))], is_left: bool = True) -> None:
        taken.update(outer=outer, is_left=is_left)

    wrapped = with_fields(command)
    assert list(inspect.signature(wrapped).parameters) == ["names", "span", "is_left", "depth"]
    wrapped(names="a, b", span="1,2.5", is_left=True, depth=4)
    expected = Outer(names=("a", "b"), span=(1, 2.5), is_left=True, inner=Inner(depth=4))
    assert taken == {"outer": expected, "is_left": True}
    wrapped(names=None, span=None, is_left=False, depth=3)
    assert taken["outer"] == Outer()
    with pytest.raises(UsageError, match="`span` takes two numbers"):
        wrapped(names=None, span="1", is_left=False, depth=3)


def test_changes_are_what_was_typed():
    taken = []

    def command(typed: Annotated[dict, Fields(changes=(Outer, ("names", "own")))]) -> None:
        taken.append(typed)

    with_fields(command)(names=None, own=None)
    with_fields(command)(names="a", own="other")
    assert taken == [{}, {"names": ("a",), "own": "other"}]


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
    def commands(group):
        for command in group.values():
            yield from commands(command.commands) if hasattr(command, "commands") else [command]

    found = list(commands(ImportedCommands(PLACES)))
    assert len(found) > len(PLACES)
    assert all(isinstance(command, OnceCommand) for command in found)


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
