"""The options of `stargan-deploy batch`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

PICTURES, SAFETY, SCALE, PAGES = (
    "Pictures",
    "Interrupted and repeated runs",
    "Many machines",
    "Pages",
)

Input = Annotated[
    Path,
    typer.Option(
        "--input",
        "-i",
        metavar="DIR_OR_FILE",
        help="Photos: a folder with its subfolders, or one file.",
    ),
]
Attrs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TARGET",
        help="Blond_Hair; Blond_Hair,Young; -Male; flip:Smiling. Given several times, every photo "
        "is translated to each, in a folder of its own.",
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
        "--output",
        "-o",
        help="Folder for the pictures, which keep the tree of the photos, report.json and "
        "manifest.jsonl.",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto (the fastest that is proven here), eager, compile, onnx, openvino, pt2 or trt; "
        "a checkpoint is exported for the last four first, and kept in the cache."
    ),
]
Precision = Annotated[
    Literal["fp32", "fp16", "bf16", "int8"] | None,
    typer.Option(
        help="Of a checkpoint, what its convolutions compute in.",
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
BatchSize = Annotated[
    int, typer.Option(help="Pictures a call of the engine, which is always filled up to it.")
]
Strength = Annotated[
    str,
    typer.Option(
        metavar="0..1.5",
        help="How far to go from the photo's own labels to the target's; several, such as "
        "0.5,1,1.5, give a strip that begins with the photo.",
        rich_help_panel=PICTURES,
    ),
]
Faces = Annotated[
    Literal["largest", "all"] | None,
    typer.Option(
        help="Find faces, align and translate them, and blend them back into the whole photo; "
        "needs the extra [faces].",
        show_default="off: a photo is one face",
        rich_help_panel=PICTURES,
    ),
]
WithoutFace = Annotated[
    Literal["skip", "copy"],
    typer.Option(
        help="What becomes of photos in which --faces finds none; they are reported too.",
        rich_help_panel=PICTURES,
    ),
]
FitOption = Annotated[
    Literal["crop", "pad", "stretch"],
    typer.Option(
        "--fit",
        help="crop: the centre square, as in training. pad: all of the photo, filled up to a "
        "square that is cut off again. stretch: all of it, pressed into a square and back.",
        rich_help_panel=PICTURES,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side of the pictures in pixels, where the model's graph takes several.",
        show_default="the size of training",
        rich_help_panel=PICTURES,
    ),
]
Keep = Annotated[
    str,
    typer.Option(
        metavar="exif,icc",
        help="Metadata to take over from the photos. Without icc, colours become sRGB. That a "
        "picture was edited by AI is always noted in it.",
        show_default="none",
        rich_help_panel=PICTURES,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Names of the pictures below --output, such as {folder}/{stem}-{target}{suffix}; also "
        "{name}. An ending such as .png sets the format.",
        show_default="the photo's, in a folder for each of several targets",
        rich_help_panel=PICTURES,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Do what an earlier run left undone.", rich_help_panel=SAFETY),
]
Changed = Annotated[
    Literal["refuse", "redo"],
    typer.Option(
        help="What --resume does where model, targets, options or a photo have changed.",
        rich_help_panel=SAFETY,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace files that are in the way.", rich_help_panel=SAFETY),
]
DiskWaitS = Annotated[
    float,
    typer.Option(
        "--disk-wait",
        metavar="SECONDS",
        min=0,
        help="How long to wait for space when the disk is full.",
        rich_help_panel=SAFETY,
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Go on watching the folder for new photos, until Ctrl-C.",
        rich_help_panel=SCALE,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do only the I-th of N parts; the parts need not know of one another.",
        show_default="all",
        rich_help_panel=SCALE,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        help="Work on a Ray cluster, whose machines see the same files; needs the extra [ray].",
        show_default="off",
        rich_help_panel=SCALE,
    ),
]
Grid = Annotated[
    bool,
    typer.Option("--grid", help="Contact sheets of all photos.", rich_help_panel=PAGES),
]
Gallery = Annotated[
    bool,
    typer.Option("--gallery", help="One HTML file of before and after.", rich_help_panel=PAGES),
]
Direction = Annotated[
    str | None,
    typer.Option(
        metavar="a2b|b2a",
        help="Of a model that goes both ways, which.",
        show_default="the only one",
    ),
]
