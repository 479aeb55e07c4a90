"""Commands that are imported on use, and refuse an option of one value that is given twice."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from stargan_deploy.cli.options import with_fields
from stargan_deploy.errors import UsageError


class OnceCommand(TyperCommand):
    """A command whose options of one value are given at most once; flags may repeat."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name.

        Raises:
            UsageError: an option of one value is given twice.
        """
        _, _, found = self.make_parser(ctx).parse_args(args=list(args))
        for option, number in Counter(found).items():
            takes_one = option.param_type_name == "option" and not option.multiple
            if number > 1 and takes_one and not getattr(option, "is_flag", False):
                name = next((o for o in option.opts if o.startswith("--")), option.opts[0])
                times = "twice" if number == 2 else f"{number} times"
                raise UsageError(f"{name} is given {times}", hint="give it once")
        return super().parse_args(ctx, args)


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
