"""Groups like `bench`: they measure, unless the first word is the name of a sub-command."""

from typing import Any

from typer.core import TyperGroup

MEASURE = "run"
"""Name of the command that measures; it need not be typed."""


class MeasuringGroup(TyperGroup):
    """Treats `bench`, `bench RECIPE.toml ...` and `bench --help` as the command that measures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the omitted name of the command."""
        if ctx.resilient_parsing and not args:
            return list(args)  # a shell may complete a sub-command here, or what follows its name
        if not args or args[0] not in self.commands:
            args = [MEASURE, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Sub-commands, and the options of the one whose name need not be typed."""
        run = self.commands[MEASURE]
        inner = run.make_context(MEASURE, [], parent=ctx, resilient_parsing=True)
        found = [item for item in super().shell_complete(ctx, incomplete) if item.value != MEASURE]
        return [*found, *run.shell_complete(inner, incomplete)]
