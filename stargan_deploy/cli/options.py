"""Options that several commands share, with the same words everywhere."""

from typing import Annotated, Literal

import typer

from stargan_deploy.cli.console import set_quiet

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
        "--dry-run", help="Check everything, say what would be done, stop; write nothing."
    ),
]
Weights = Annotated[
    Literal["ema", "raw"] | None,
    typer.Option(
        "--weights",
        help="Moving average or last weights.",
        show_default="ema where there are any",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
