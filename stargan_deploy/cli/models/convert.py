"""`stargan-deploy convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.options import Json, Quiet

if TYPE_CHECKING:
    from stargan_deploy.families.convert import Conversion

Exclusive = Annotated[
    list[str] | None,
    typer.Option(
        metavar="A,B,...",
        help="Attributes of which an image has at most one; several times for several groups.",
        show_default="hair colours",
    ),
]


def convert(
    generator: Annotated[
        Path, typer.Argument(metavar="G.ckpt", help="Official generator checkpoint.")
    ],
    attrs: Annotated[
        str, typer.Option(help="Attribute names in the order of training: Black_Hair,...,Young.")
    ],
    discriminator: Annotated[
        Path | None, typer.Option(help="Official discriminator checkpoint (D.ckpt).")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the training images.", show_default="derived from D, else 128"),
    ] = None,
    crop_size: Annotated[
        int, typer.Option(help="Side of the centre crop in training, in pixels; 0 for none.")
    ] = 178,
    domains: Annotated[
        bool, typer.Option("--domains", help="The labels are one-hot domains, as for RaFD.")
    ] = False,
    exclusive: Exclusive = None,
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")] = Path("model.safetensors"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another file at --out.")
    ] = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Convert an official StarGAN checkpoint into one that the other commands take."""
    from stargan_deploy.errors import UsageError
    from stargan_deploy.families.base import OfficialOptions
    from stargan_deploy.families.convert import convert_official

    if image_size is not None and image_size < 1:
        raise UsageError(f"--image-size must be at least 1, not {image_size}")
    if out.resolve() in {p.resolve() for p in (generator, discriminator) if p}:
        raise UsageError(f"--out {out} would overwrite the checkpoint being converted")
    found = convert_official(
        generator,
        out,
        OfficialOptions(
            names=_names(attrs),
            discriminator_path=discriminator,
            image_size=image_size,
            crop_size=crop_size,
            domains=domains,
            exclusive=[_names(group) for group in exclusive or []],
        ),
        overwrite=overwrite,
    )
    size = found.card.preprocessing.image_size
    if discriminator is None:
        say("no discriminator given: the model cannot predict the source labels of photos")
        if image_size is None:
            say(f"image size: {size} (the official default; --image-size changes it)")
    _show(found, out, json_output=json_output)


def _show(found: "Conversion", out: Path, *, json_output: bool) -> None:
    card, size = found.card, found.card.preprocessing.image_size
    if json_output:
        facts = {"already_there": found.was_there, "replaced": found.replaced or None}
        show_json({"checkpoint": str(out), "network": card.network, **facts})
        return
    did = "already there:" if found.was_there else "replaced" if found.replaced else "wrote"
    before = f"; it held {found.replaced}" if found.replaced else ""
    show(f"{did} {out}: {size}x{size}, labels {', '.join(card.labels.names)}{before}")
    for group in (group for each in card.labels.sets for group in each.exclusive_groups):
        say(f"at most one of: {', '.join(group)}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
