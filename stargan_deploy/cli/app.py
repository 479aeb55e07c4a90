"""All sub-commands together."""

from typing import Annotated

import typer

from stargan_deploy.cli.batch.command import batch
from stargan_deploy.cli.batch.sample import sample
from stargan_deploy.cli.bench.command import bench
from stargan_deploy.cli.bench.compare import compare
from stargan_deploy.cli.bench.group import MEASURE, BenchGroup
from stargan_deploy.cli.commands import App
from stargan_deploy.cli.data.command import data
from stargan_deploy.cli.demo import demo
from stargan_deploy.cli.models.convert import ConvertCommand, convert
from stargan_deploy.cli.models.doctor import doctor
from stargan_deploy.cli.models.export import export
from stargan_deploy.cli.models.info import info
from stargan_deploy.cli.models.verify import verify
from stargan_deploy.cli.train import train
from stargan_deploy.version import __version__

app = App(
    name="stargan-deploy",
    help="StarGAN and other GANs from training to production: train, export, prove, measure, "
    "translate folders of photos, make images from noise.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, export, verify, batch, sample, info):
    app.command()(command)
app.command(cls=ConvertCommand)(convert)
app.command()(demo)
app.command()(doctor)
app.add_typer(data, name="data")

benchmarks = App(cls=BenchGroup)
benchmarks.command(MEASURE)(bench)
benchmarks.command("compare")(compare)
app.add_typer(
    benchmarks, name="bench", help="Measure every backend on this machine; compare two results."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stargan-deploy {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the command line itself."""
