"""Options that several commands share, and how options become settings of the library."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from stargan_deploy.cli.console import set_quiet

if TYPE_CHECKING:
    from stargan_deploy.inference.choose import RuntimeRequest

T = TypeVar("T")

OUT = ("--out", "--output", "-o")
OUTPUT = ("--output", "--out", "-o")
"""Names of the option for results; either long one works everywhere."""

Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="cpu, cuda, cuda:N or mps.", show_default="a GPU if usable, else cpu"
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print results and errors only.", callback=set_quiet),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything and show what would be done, without writing anything."
    ),
]
Weights = Annotated[
    Literal["ema", "raw"] | None,
    typer.Option(
        "--weights",
        help="Moving average of the weights, or the last ones.",
        show_default="ema if there are any",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def settings(kind: type[T], options: Mapping[str, Any], **changes: Any) -> T:
    """The settings of a dataclass, from the options of the same names.

    Args:
        kind: a dataclass of settings.
        options: the command's options by name; others than the dataclass has are left out.
        changes: settings that no option has as they are.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names & options.keys()} | changes)


def runtime_request(options: Mapping[str, Any]) -> "RuntimeRequest":
    """How to run a model, from a command's options."""
    from stargan_deploy.devices import parse_device
    from stargan_deploy.inference.choose import RuntimeRequest

    device = options["device"]
    return settings(RuntimeRequest, options, device=parse_device(device) if device else None)
