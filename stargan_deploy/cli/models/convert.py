"""`stargan-deploy convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stargan_deploy.cli.commands import App, OnceCommand
from stargan_deploy.cli.console import say, show, show_json
from stargan_deploy.cli.guidance.next_steps import say_next
from stargan_deploy.cli.options import OUT, Json, Quiet
from stargan_deploy.errors import UsageError

if TYPE_CHECKING:
    from stargan_deploy.families.base import OfficialOptions
    from stargan_deploy.families.convert import Conversion

Exclusive = Annotated[
    list[str] | None,
    typer.Option(
        metavar="A,B,...",
        help="Attributes of which an image has at most one; several times for several groups.",
        show_default="hair colours",
    ),
]

Discriminator = Annotated[
    Path | None,
    typer.Option(
        help="Official discriminator checkpoint (200000-D.ckpt, 100000_nets.ckpt).",
        show_default="in the same file, or next to it",
    ),
]
Out = Annotated[Path, typer.Option(*OUT, help="Checkpoint to write.")]

DOMAINS = "--domains"

ALL = "*"
"""Value of `--domains` without names: those of `--attrs` are domains."""


class ConvertCommand(OnceCommand):
    """Takes `--domains` with names and without."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give the option a value where it has none."""
        words = list(args)
        for index, word in reversed(list(enumerate(words))):
            follows = words[index + 1] if index + 1 < len(words) else "-"
            if word == DOMAINS and (follows.startswith("-") or Path(follows).is_file()):
                words[index] = f"{DOMAINS}={ALL}"
        return super().parse_args(ctx, words)


def convert(
    generator: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.ckpt",
            help="Official checkpoint: 200000-G.ckpt, or 100000_nets_ema.ckpt of StarGAN v2.",
        ),
    ],
    attrs: Annotated[
        list[str] | None,
        typer.Option(help="Attribute names in the order of training: Black_Hair,...,Young."),
    ] = None,
    discriminator: Discriminator = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the training images.", show_default="derived from the weights, else 128"
        ),
    ] = None,
    crop_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the centre crop in training, in pixels; 0 for none.",
            show_default="178, of domains alone 256; of StarGAN v2 none",
        ),
    ] = None,
    domains: Annotated[
        str,
        typer.Option(
            DOMAINS,
            metavar="[A,B,...]",
            help="Names of one-hot domains, as for RaFD and StarGAN v2; with --attrs too, of a "
            "joint training. Without names, those of --attrs are domains.",
        ),
    ] = "",
    exclusive: Exclusive = None,
    out: Out = Path("model.safetensors"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another file at --out.")
    ] = False,
    json_output: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - its callback silences
) -> None:
    """Convert an official StarGAN or StarGAN v2 checkpoint for the other commands."""
    from stargan_deploy.families.convert import convert_official

    if out.resolve() in {p.resolve() for p in (generator, discriminator) if p}:
        raise UsageError(f"--out {out} would overwrite the checkpoint being converted")
    options = _options(
        ",".join(attrs or []), domains, exclusive or [], discriminator, image_size, crop_size
    )
    found = convert_official(generator, out, options, overwrite=overwrite)
    _say_what_is_assumed(found, options)
    _show(found, out, json_output=json_output)


def _options(
    attrs: str,
    domains: str,
    exclusive: list[str],
    discriminator: Path | None,
    image_size: int | None,
    crop_size: int | None,
) -> "OfficialOptions":
    from stargan_deploy.families.base import OfficialOptions

    if image_size is not None and image_size < 1:
        raise UsageError(f"--image-size must be at least 1, not {image_size}")
    if not _names(attrs) and not _names(domains.replace(ALL, "")):
        raise UsageError(
            "convert needs the names of the labels, in the order of training: --attrs NAME,... or "
            f"{DOMAINS} NAME,..."
        )
    for option, text in ((DOMAINS, domains), *(("--exclusive", group) for group in exclusive)):
        least = 1 if option == DOMAINS else 2
        if text not in ("", ALL) and len(_names(text)) < least:
            raise UsageError(f"{option} takes {least} or more names, not {text!r}")
    return OfficialOptions(
        names=_names(attrs),
        discriminator_path=discriminator,
        image_size=image_size,
        crop_size=crop_size,
        domains=domains == ALL,
        domain_names=[] if domains == ALL else _names(domains),
        exclusive=[_names(group) for group in exclusive],
    )


def _say_what_is_assumed(found: "Conversion", options: "OfficialOptions") -> None:
    how, points = found.card.preprocessing, found.card.entry_points
    if "classify" not in points and any(p.inputs_of("label") for p in points.values()):
        say("no discriminator given: the model cannot predict the source labels of photos")
        if options.image_size is None:
            say(f"image size: {how.image_size} (the official default; --image-size changes it)")
    if options.crop_size is None and how.crop_size:
        say(f"centre crop: {how.crop_size} (the official default; --crop-size changes it)")


def _show(found: "Conversion", out: Path, *, json_output: bool) -> None:
    card, how = found.card, found.card.preprocessing
    if json_output:
        facts = {"already_there": found.was_there, "replaced": found.replaced or None}
        show_json({"checkpoint": str(out), "network": card.network, **facts})
        return
    did = "already there:" if found.was_there else "replaced" if found.replaced else "wrote"
    before = f"; it held {found.replaced}" if found.replaced else ""
    crop = f"of a centre crop of {how.crop_size}" if how.crop_size else "without a crop"
    size = f"{how.image_size}x{how.image_size}"
    show(f"{did} {out}: {size} {crop}, labels {', '.join(card.labels.names)}{before}")
    for note in card.notes:
        say(note)
    for group in (group for each in card.labels.sets for group in each.exclusive_groups):
        say(f"at most one of: {', '.join(group)}")
    say_next("export", out)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


app = App()
app.command("convert", cls=ConvertCommand)(convert)
