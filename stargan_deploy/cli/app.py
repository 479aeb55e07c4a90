"""All sub-commands together; each is imported when it is used."""

from types import SimpleNamespace
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from stargan_deploy.cli.commands import App, ImportedCommands
from stargan_deploy.version import __version__

COMMANDS = {
    "train": ("training.train:train", "Train a model: images and labels in, checkpoints out."),
    "distil": ("training.distil:distil", "Train a small model to draw as a large one does."),
    "export": (
        "models.export:export",
        "Export a checkpoint, and prove the result equal to PyTorch.",
    ),
    "verify": ("models.verify:verify", "Compare an artefact with PyTorch on this machine."),
    "batch": ("batch.command:batch", "Translate a photo or a folder of photos."),
    "sample": ("batch.sample:sample", "Make images from noise."),
    "serve": ("serve.command:serve", "Serve models over HTTP, with a page for photos."),
    "info": ("models.info:info", "Show what a model is, takes and gives, and how it was proven."),
    "convert": ("models.convert:app", "Convert an official StarGAN checkpoint."),
    "demo": ("demo:demo", "Export, prove and run the built-in model on drawn faces."),
    "doctor": (
        "models.doctor:doctor",
        "Try every backend; say which are usable, and fix the rest.",
    ),
    "data": ("data.command:data", "Check a folder of images and labels, or download one."),
    "bench": ("bench.command:benchmarks", "Measure every backend here; compare two results."),
    "evaluate": (
        "evaluate.command:evaluations",
        "Say how good a model's images are; compare two results.",
    ),
}
"""Place of each command below this package, and its line in the list of all commands."""


class Commands(TyperGroup):
    """The commands, of which the list of all of them imports none."""

    def __init__(self, **settings: Any) -> None:
        places = {name: place for name, (place, _) in COMMANDS.items()}
        super().__init__(**settings | {"commands": ImportedCommands(places)})

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the list."""
        self.commands = {
            name: TyperCommand(name, help=summary) for name, (_, summary) in COMMANDS.items()
        }
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The commands, of which none is imported, and the options."""
        found = [
            SimpleNamespace(value=name, type="plain", help=summary)
            for name, (_, summary) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *TyperCommand.shell_complete(self, ctx, incomplete)]


app = App(
    cls=Commands,
    name="stargan-deploy",
    help="StarGAN and other GANs from training to production: train, export, prove, measure, "
    "translate folders of photos, make images from noise.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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
