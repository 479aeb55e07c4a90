"""The options of `stargan-deploy export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stargan_deploy.cli.options import OUT

ENGINE_PANEL = "TensorRT"
PROOF_PANEL = "Proof"

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint, or a run's folder.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Format = Annotated[str, typer.Option("--format", help="Format to export to; see above.")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Compute precision of the convolutions; see above.", show_default="fp32; trt: fp16"
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        *OUT,
        metavar="PATH",
        help="File to write, or a folder if it exists or ends in /; for triton, the model "
        "repository.",
        show_default="./exports/NAME, of the run or checkpoint",
    ),
]
ImageIO = Annotated[
    Literal["uint8", "float"],
    typer.Option(
        help="Images that the graph takes and gives: uint8 (RGB, N,H,W,3) or float (N,3,H,W in "
        "[-1, 1])."
    ),
]
MaxBatch = Annotated[
    int | None,
    typer.Option(help="Largest batch that the graph must take.", show_default="open; trt: 16"),
]
MaxSize = Annotated[
    int | None,
    typer.Option(
        help="Largest height and width in pixels, for models that take several sizes.",
        show_default="open; trt: fixed at the size of training",
    ),
]
CalibrationPhotos = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Photos to quantise with.", show_default="synthetic faces"),
]
ProofDevice = Annotated[
    str | None,
    typer.Option(
        help="cpu or cuda: where to prove the export, and what pt2 compiles for.",
        show_default="all that are usable; pt2: a GPU if usable",
        rich_help_panel=PROOF_PANEL,
    ),
]
ProofImages = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Photos to prove the export on.",
        show_default="those of --calibration that are not quantised with, or synthetic faces",
        rich_help_panel=PROOF_PANEL,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for the worst image next to its amplified difference.",
        rich_help_panel=PROOF_PANEL,
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        help="tensorrt, tensorrt_rtx, or auto for what is installed.",
        rich_help_panel=ENGINE_PANEL,
    ),
]
OptBatch = Annotated[
    int | None,
    typer.Option(
        help="Batch size that the engine is optimised for.",
        show_default="the largest",
        rich_help_panel=ENGINE_PANEL,
    ),
]
OptimizationLevel = Annotated[
    int | None,
    typer.Option(
        help="How hard the builder tries, 0 to 5.",
        show_default="the builder's own",
        rich_help_panel=ENGINE_PANEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Export anew, and replace what is there."),
]
Stochastic = Annotated[
    bool,
    typer.Option("--stochastic", help="For models with dropout: export its masks as inputs."),
]
