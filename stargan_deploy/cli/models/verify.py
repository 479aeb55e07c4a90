"""`stargan-deploy verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    artefacts: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Exported files: .onnx, .xml, .engine, .pt2."),
    ],
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

    sources = [_source_of(artefact, checkpoint) for artefact in artefacts]
    found: dict[Path, Verification] = {}
    for artefact, source in zip(artefacts, sources, strict=True):
        say(f"comparing {artefact} with {source}")
        found[artefact] = verify(artefact, checkpoint=source, device=device, images=images)
        if not json_output:
            _show(artefact, found[artefact])
    if json_output:
        plain = [_facts(artefact, each) for artefact, each in found.items()]
        show_json(plain[0] if len(plain) == 1 else plain)
    comparisons = [comparison for each in found.values() for comparison in each.comparisons]
    if report is not None:
        save_worst_images(report, comparisons)
    check_passed(comparisons)
    if len(artefacts) == 1:
        say_use(artefacts[0], read_card_of(artefacts[0]))


def _source_of(artefact: Path, checkpoint: Path | None) -> Path:
    """The checkpoint that an artefact is compared with.

    Raises:
        ModelError: it is not there, or the artefact is not one.
    """
    _check_is_file(artefact)
    return find_source(artefact, read_card_of(artefact), checkpoint)


def _check_is_file(artefact: Path) -> None:
    if artefact.is_dir():
        raise ModelError(
            f"{artefact} is a folder, not an artefact; a Triton model is proven by its export"
        )


def _facts(artefact: Path, found: "Verification") -> dict[str, Any]:

    verdicts = [to_mapping(comparison.verdict) for comparison in found.comparisons]
    return {"artefact": str(artefact), "verdicts": verdicts}


def _show(artefact: Path, found: "Verification") -> None:
    show_verdicts([comparison.verdict for comparison in found.comparisons])
    say(f"the verdict is now in the card of {artefact}")
