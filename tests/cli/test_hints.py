"""Messages of the library name settings; on the command line each becomes an option that exists."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import stargan_deploy
from stargan_deploy.cli.app import app
from stargan_deploy.cli.flags import with_flags

PACKAGE = Path(stargan_deploy.__file__).parent

PYTHON_ONLY = {"--sources", "--session", "--session-options", "--providers"}
"""Settings of the Python API that no command passes on."""

FOREIGN = {"--force-reinstall", "--help"}
"""Options of other programs, and the one that every command has."""


def options(command: Any) -> set[str]:
    """All options of a command and its sub-commands."""
    found = {name for parameter in command.params for name in parameter.opts}
    return found.union(*map(options, getattr(command, "commands", {}).values()))


def texts(path: Path) -> set[str]:
    """Texts of errors and of log lines."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {node: getattr(node.func, "id", getattr(node.func, "attr", "")) for node in calls}
    wanted = [c for c in calls if names[c].endswith("Error") or names[c] in ("info", "warning")]
    return {
        node.value
        for call in wanted
        for node in ast.walk(call)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_every_option_that_a_message_names_exists(path):
    named = {
        flag for text in texts(path) for flag in re.findall("--[a-z][a-z-]*", with_flags(text))
    }
    known = options(typer.main.get_command(app))
    assert not named - known - PYTHON_ONLY - FOREIGN
