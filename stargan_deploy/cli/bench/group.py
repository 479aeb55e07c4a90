"""`stargan-deploy bench`: measures, unless the first word is the name of a sub-command."""

from typing import Any

from typer.core import TyperGroup


class BenchGroup(TyperGroup):
    """Takes `bench`, `bench RECIPE.toml ...` and `bench --help` as words for measuring."""

    MEASURE = "run"
    """Name of the command that measures; nobody has to type it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts in the name that was left out."""
        if not args or args[0] not in self.commands:
            args = [self.MEASURE, *args]
        return super().parse_args(ctx, args)
