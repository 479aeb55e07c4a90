"""`stargan-deploy bench`: measures, unless the first word is the name of a sub-command."""

from typing import Any

from typer.core import TyperGroup

MEASURE = "run"
"""Name of the command that measures; it need not be typed."""


class BenchGroup(TyperGroup):
    """Treats `bench`, `bench RECIPE.toml ...` and `bench --help` as the command that measures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the omitted name of the command."""
        if not args or args[0] not in self.commands:
            args = [MEASURE, *args]
        return super().parse_args(ctx, args)
