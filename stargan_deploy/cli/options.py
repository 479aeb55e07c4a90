"""Options that several commands share, with the same words everywhere."""

from typing import Annotated

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
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
