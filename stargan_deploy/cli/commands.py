"""Commands: imported on use, checked before they start, and completed in a shell."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from stargan_deploy.cli.options import with_fields
from stargan_deploy.errors import UsageError

NAMES = ("--attrs", "--domains", "--exclusive", "--label")
"""Options whose values are names of labels."""


class OnceCommand(TyperCommand):
    """A command whose options of one value are given at most once; flags may repeat."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name.

        Raises:
            UsageError: an option of one value is given twice, or a name has blanks and no quotes.
        """
        if ctx.resilient_parsing:  # a shell asks for completions
            return super().parse_args(ctx, args)
        _refuse_unquoted(args)
        _, _, found = self.make_parser(ctx).parse_args(args=list(args))
        for option, number in Counter(found).items():
            takes_one = option.param_type_name == "option" and not option.multiple
            if number > 1 and takes_one and not getattr(option, "is_flag", False):
                name = next((o for o in option.opts if o.startswith("--")), option.opts[0])
                times = "twice" if number == 2 else f"{number} times"
                raise UsageError(f"{name} is given {times}", hint="give it once")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters; where a shell asks, with completions of their values."""
        params: list[Any] = super().get_params(ctx)
        for param in params if ctx.resilient_parsing else ():
            param.shell_complete = partial(_complete, param)
        return params


def _complete(param: Any, ctx: Any, incomplete: str) -> list[Any]:
    from stargan_deploy.cli.guidance.completion import complete

    found = complete(param.name, ctx.params, incomplete)
    if found is None:
        items: list[Any] = type(param).shell_complete(param, ctx, incomplete)
        return items
    return [SimpleNamespace(value=word, type="plain", help=None) for word in found]


def _refuse_unquoted(args: Sequence[str]) -> None:
    """Refuse `--attrs Blond Hair`, whose second word would be a photo or a recipe.

    Raises:
        UsageError: such words, none of which is a file.
    """
    words = [part for arg in args for part in (arg.split("=", 1) if _is_named(arg) else [arg])]
    for option, name, rest in zip(words, words[1:], words[2:], strict=False):
        if option in NAMES and not name.startswith("-") and _is_no_place(rest):
            raise UsageError(
                f"{rest!r} after {option} {name} is neither an option nor a file that exists",
                hint=f"put a name with blanks in quotes, {option} '{name} {rest}', and commas "
                f"between several, {option} {name},{rest}",
            )


def _is_named(arg: str) -> bool:
    return arg.partition("=")[0] in NAMES


def _is_no_place(word: str) -> bool:
    """Whether a word can be neither an option, a path nor a recipe's name."""
    if word.startswith("-") or "." in word or "/" in word or Path(word).exists():
        return False
    from stargan_deploy.training.recipe import packaged_recipes

    return word not in packaged_recipes()


class App(typer.Typer):
    """Commands of which each is a `OnceCommand`, and may take settings of the library."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"add_completion": False} | settings)

    def command(
        self, name: str | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As `typer.Typer.command`."""
        register = super().command(name, **{"cls": OnceCommand} | settings)

        def add(function: CommandFunctionType) -> CommandFunctionType:
            register(with_fields(function))
            return function

        return add


class ImportedCommands(Mapping[str, Any]):
    """Commands by name, each imported on first use.

    Args:
        places: module and function of each, or an `App` in a function's place.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Import a command."""
        if name not in self._loaded:
            module, attribute = self._places[name].split(":")
            found = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
            if not isinstance(found, App):
                app, function = App(), found
                app.command(name)(function)
                found = app
            self._loaded[name] = typer.main.get_command(found)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._places)

    def __len__(self) -> int:
        """Their number."""
        return len(self._places)
