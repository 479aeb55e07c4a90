"""Options of commands: those that several share, and those that are settings of the library.

A command may take a dataclass of the library as it is:

    def batch(images: Annotated[ImageOptions, Fields(panel="Images")], ...) -> None:

and then has an option for each field. Its name, type and default are the field's, and its help is
the docstring under the field, where settings in backticks become flags. What follows "; None takes"
(or "; empty takes") at the end of that docstring is shown as the default. A parameter of the
command that has the name of a field takes the field's place.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from stargan_deploy.backends.registry import runtime_names
from stargan_deploy.cli.console import set_quiet
from stargan_deploy.cli.flags import flag_of, with_flags
from stargan_deploy.typed import TEXTS, field_docs, read_typed, split_default, split_names

OUT = ("--out", "--output", "-o")
OUTPUT = ("--output", "--out", "-o")
"""Names of the option for results; either long one works everywhere."""

Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:N or mps.", show_default="a GPU if usable, else cpu"),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only.", callback=set_quiet)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything and show what would be done, without writing anything."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint, a run's folder, or an exported model.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Before = Annotated[
    Path, typer.Argument(metavar="A.json", help="The earlier results.json, or its folder.")
]
After = Annotated[
    Path, typer.Argument(metavar="B.json", help="The results.json to judge, or its folder.")
]
BACKENDS = {
    "backend": f"Known: auto, {', '.join(runtime_names())}.",
    "backends": f"Known: {', '.join(runtime_names())}.",
}
"""Notes on fields that name backends."""

BatchSize = Annotated[int, typer.Option(help="Batch size; smaller batches are padded to it.")]


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Marks a parameter of a command that stands for the fields of its dataclass."""

    panel: str | None = None
    """Panel of the help that shows the options."""
    panels: Mapping[str, str] = field(default_factory=dict)
    """Panels of single fields."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Further sentences of the help of single fields."""
    without: tuple[str, ...] = ()
    """Fields that are no options and keep their default."""
    env: str = ""
    """Beginning of the names of environment variables that set the options, followed by the
    field's name; empty for none."""
    changes: tuple[type, tuple[str, ...]] | None = None
    """A dataclass and those of its fields that are options, where the parameter is a dictionary of
    what was typed, to change a recipe by."""


def names_of(words: list[str] | None) -> list[str]:
    """Names in lists with commas, of an option that may be given several times."""
    return list(split_names(",".join(words or [])))


def with_fields(function: Callable[..., None]) -> Callable[..., None]:
    """A command with an option in its signature for each field of the dataclasses that it takes."""
    given = inspect.signature(function).parameters
    groups = {
        name: _Group.of(*get_args(parameter.annotation)[:2])
        for name, parameter in given.items()
        if any(isinstance(mark, Fields) for mark in get_args(parameter.annotation))
    }
    parameters = dict[str, inspect.Parameter]()
    for name, parameter in given.items():
        options = groups[name].options() if name in groups else (parameter,)
        for option in options:
            own = given.get(option.name, option)
            parameters.setdefault(option.name, own.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**typed: Any) -> None:
        made = {name: group.make(typed) for name, group in groups.items()}
        function(**{name: made[name] if name in made else typed[name] for name in given})

    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return command


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The fields that are options of one dataclass."""

    kind: Any
    marks: Fields
    hints: Mapping[str, Any]
    """Types of the fields by name."""

    @classmethod
    def of(cls, kind: Any, marks: Fields) -> "_Group":
        kind, only = marks.changes or (kind, ())
        hints = get_type_hints(kind)
        names = only or [field.name for field in fields(kind) if field.name not in marks.without]
        return cls(kind=kind, marks=marks, hints={name: hints[name] for name in names})

    def options(self) -> Iterator[inspect.Parameter]:
        docs, defaults = field_docs(self.kind), {own.name: own.default for own in fields(self.kind)}
        for name, hint in self.hints.items():
            panel = self.marks.panels.get(name, self.marks.panel)
            if is_dataclass(hint):
                yield from _Group.of(hint, Fields(panel=panel)).options()
                continue
            words, shown = _help(docs.get(name, ""), self.marks.notes.get(name))
            is_change = self.marks.changes is not None
            settings = {"help": words, "show_default": shown, "rich_help_panel": panel}
            if self.marks.env:
                settings["envvar"] = self.marks.env + name.upper()
            yield _option(name, hint, defaults[name], settings, is_change=is_change)

    def make(self, typed: Mapping[str, Any]) -> Any:
        """The dataclass, or the dictionary of changes, from the values of a command's options."""
        values = {}
        for name, hint in self.hints.items():
            if is_dataclass(hint):
                values[name] = _Group.of(hint, Fields()).make(typed)
            elif typed[name] is not None:
                values[name] = read_typed(name, hint, typed[name])
        return values if self.marks.changes else self.kind(**values)


def _help(doc: str, note: str | None) -> tuple[str, str | None]:
    """The help of an option and the words for its default, from a field's docstring."""
    words, none = split_default(doc)
    words = re.sub("^Whether to ([a-z])", lambda match: match[1].upper(), words)
    text = with_flags(" ".join(filter(None, (f"{words}.", note))))
    # Square brackets would be taken for markup.
    return re.sub(r"\[(?=[a-z/])", r"\\[", text), with_flags(none) or None


def _option(
    name: str, hint: Any, default: Any, settings: dict[str, Any], *, is_change: bool
) -> inspect.Parameter:
    """The parameter for a field; a change of a recipe is None where nothing was typed."""
    metavar, _, _ = TEXTS.get(hint, (None, "", None))
    is_untyped = is_change or metavar is not None
    if is_untyped and not settings["show_default"]:
        values = default if isinstance(default, tuple) else [default]
        shown = (f"{value:g}" if isinstance(value, float) else str(value) for value in values)
        settings["show_default"] = ",".join(shown) if default else None
    option = typer.Option(
        flag_of(name),
        metavar="SECONDS" if name.endswith("_s") else metavar,
        **{key: value for key, value in settings.items() if value is not None},
    )
    kind = str | None if metavar else hint | None if is_change else hint
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if is_untyped else default,
        annotation=Annotated[kind, option],
    )
