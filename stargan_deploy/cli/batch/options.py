"""The options of `stargan-deploy batch`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stargan_deploy.backends.registry import runtime_names
from stargan_deploy.cli.options import OUTPUT

IMAGES, SAFETY, SCALE, PAGES = (
    "Images",
    "Interrupted and repeated runs",
    "Many machines",
    "Pages",
)

Input = Annotated[
    list[Path] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="DIR_OR_FILE",
        help="Photos: a folder with its subfolders, or a file; may be given several times.",
    ),
]
Photos = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PHOTO...", help="More photos or folders, as a pattern gives them."),
]
Attrs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TARGET",
        help="Blond_Hair; Blond_Hair,Young; -Male; flip:Smiling. If given several times, photos "
        "are translated to each target, in separate folders.",
        show_default=False,
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint, a run's folder, or an exported model.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        *OUTPUT,
        help="Folder for the translated images, mirroring the input folder structure, and for "
        "report.json and manifest.jsonl.",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help=f"auto (the fastest that is proven here), {', '.join(runtime_names())}. A checkpoint "
        "is exported to the cache first where the backend needs it."
    ),
]
Precision = Annotated[
    Literal["fp32", "fp16", "bf16", "int8"] | None,
    typer.Option(
        help="Compute precision when running a checkpoint directly, or of its export.",
        show_default="the backend's default",
    ),
]
Source = Annotated[
    str,
    typer.Option(
        metavar="predict|zeros|FILE",
        help="The photos' own labels: from the model's classifier, all absent, or from a CSV file "
        "(file,Attr1,Attr2,...) or a CelebA attribute list.",
    ),
]
BatchSize = Annotated[int, typer.Option(help="Batch size; smaller batches are padded to it.")]
Strength = Annotated[
    str,
    typer.Option(
        metavar="0..1.5",
        help="How far to go from the photo's own labels (0) to the target's (1). Several values, "
        "for example 0.5,1,1.5, give a strip that begins with the photo.",
        rich_help_panel=IMAGES,
    ),
]
Faces = Annotated[
    Literal["largest", "all"] | None,
    typer.Option(
        help="Find faces, align and translate them, and blend them back into the whole photo; "
        "needs the extra \\[faces].",
        show_default="off: a photo is one face",
        rich_help_panel=IMAGES,
    ),
]
WithoutFace = Annotated[
    Literal["skip", "copy"],
    typer.Option(
        help="What to do with photos in which --faces finds none; they are listed in the report.",
        rich_help_panel=IMAGES,
    ),
]
FitOption = Annotated[
    Literal["crop", "pad", "stretch"],
    typer.Option(
        "--fit",
        help="crop: the centre square, as in training. pad: the whole photo, padded to a square "
        "and cropped back. stretch: the whole photo, resized to a square and back.",
        rich_help_panel=IMAGES,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side of the translated images in pixels, if the model takes several sizes.",
        show_default="the size of training",
        rich_help_panel=IMAGES,
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="LOW,HIGH",
        help="Values of deep photos (16 bits, floats) that become black and white.",
        show_default="those of training, else the full range of their type",
        rich_help_panel=IMAGES,
    ),
]
Keep = Annotated[
    str,
    typer.Option(
        metavar="exif,icc",
        help="Metadata to copy from the photos. Without icc, colours are converted to sRGB. Images "
        "are always marked as edited by AI.",
        show_default="none",
        rich_help_panel=IMAGES,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Names of the images below --output, for example {folder}/{stem}-{target}{suffix}; "
        "{name} is the photo's file name. A suffix like .png sets the format.",
        show_default="the photo's, in one folder per target if there are several",
        rich_help_panel=IMAGES,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue an interrupted run.", rich_help_panel=SAFETY),
]
Changed = Annotated[
    Literal["refuse", "redo"],
    typer.Option(
        help="What --resume does if the model, targets, options or a photo have changed.",
        rich_help_panel=SAFETY,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Overwrite existing output files.", rich_help_panel=SAFETY),
]
DiskWaitS = Annotated[
    float,
    typer.Option(
        "--disk-wait",
        metavar="SECONDS",
        min=0,
        help="How long to wait for free space when the disk is full.",
        rich_help_panel=SAFETY,
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Keep watching the folder for new photos, until Ctrl-C.",
        rich_help_panel=SCALE,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Process only the I-th of N parts, for independent machines.",
        show_default="all",
        rich_help_panel=SCALE,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        help="Run on a Ray cluster whose machines see the same files; needs the extra \\[ray].",
        show_default="off",
        rich_help_panel=SCALE,
    ),
]
Grid = Annotated[
    bool,
    typer.Option("--grid", help="Write contact sheets of all photos.", rich_help_panel=PAGES),
]
Gallery = Annotated[
    bool,
    typer.Option("--gallery", help="Write a page with before and after.", rich_help_panel=PAGES),
]
Direction = Annotated[
    str | None,
    typer.Option(
        metavar="a2b|b2a",
        help="Which direction to translate, for models that have two.",
        show_default="the only one",
    ),
]
