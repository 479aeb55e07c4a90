"""`stargan-deploy verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.backends.registry import read_card_of
from stargan_deploy.cli.console import say, show_json
from stargan_deploy.cli.guidance.next_steps import say_use
from stargan_deploy.cli.models.verdicts import show_verdicts
from stargan_deploy.cli.options import Device, Json, Quiet
from stargan_deploy.config import to_mapping
from stargan_deploy.errors import ModelError
from stargan_deploy.export.proof.compare import check_passed
from stargan_deploy.inference.find import find_source

if TYPE_CHECKING:
    from stargan_deploy.export.proof.verify import Verification


def verify(
    artefact: Annotated[Path, typer.Argument(help="An exported file: .onnx, .xml, .engine, .pt2.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that it was exported from.",
            show_default="found by content: next to the file, here, in ./runs, in the package",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photos to compare on.", show_default="synthetic faces"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the worst image next to its amplified difference."
        ),
    ] = None,
    device: Device = None,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Compare an artefact with PyTorch on this machine, and add the verdict to its card.

    For an engine that was built where it could not run, or a file from another machine. The exit
    code is 6 if it does not equal PyTorch.
    """
    from stargan_deploy.export.proof.verify import verify
    from stargan_deploy.export.proof.worst_images import save_worst_images

    _check_is_file(artefact)
    source = find_source(artefact, read_card_of(artefact), checkpoint)
    say(f"comparing {artefact} with {source}")
    found = verify(artefact, checkpoint=source, device=device, images=images)
    if report is not None:
        save_worst_images(report, found.comparisons)
    _show(artefact, found, json_output)
    check_passed(found.comparisons)
    say_use(artefact, read_card_of(artefact))


def _check_is_file(artefact: Path) -> None:
    if artefact.is_dir():
        raise ModelError(
            f"{artefact} is a folder, not an artefact; a Triton model is proven by its export"
        )


def _show(artefact: Path, found: "Verification", json_output: bool) -> None:

    verdicts = [comparison.verdict for comparison in found.comparisons]
    if json_output:
        show_json({"artefact": str(artefact), "verdicts": [to_mapping(v) for v in verdicts]})
        return
    show_verdicts(verdicts)
    say(f"the verdict is now in the card of {artefact}")
