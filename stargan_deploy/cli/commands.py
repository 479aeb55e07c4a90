"""Commands that refuse an option that is given twice, where only one value can count."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

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
    """Commands of which each is a `OnceCommand`."""

    def command(
        self, name: str | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """As `typer.Typer.command`."""
        return super().command(name, **{"cls": OnceCommand} | settings)


def names_of(words: list[str] | None) -> list[str]:
    """Names in lists with commas, of an option that may be given several times."""
    split = (name.strip() for word in words or [] for name in word.split(","))
    return list(dict.fromkeys(name for name in split if name))
