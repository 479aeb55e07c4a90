"""What `bench` and `evaluate` share: they measure unless a sub-command is named, into a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from stargan_deploy.cli.console import say
from stargan_deploy.errors import UsageError
from stargan_deploy.files.atomic import make_folder, missing_folders, remove_empty

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


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Make a folder before minutes of measuring; removes it again if they fail.

    Earlier results there are replaced, which is said.

    Raises:
        UsageError: the folder is a file.
        OutputError: it cannot be made.
    """
    if folder.is_file():
        raise UsageError(f"--out {folder} is a file; name a folder")
    if (folder / "results.json").exists():
        say(f"replacing the earlier results in {folder}; --out names another folder")
    made = missing_folders(folder)
    make_folder(folder)
    try:
        yield
    except BaseException:
        remove_empty(made)
        raise
