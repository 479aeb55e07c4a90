"""The options of `stargan-deploy export`: long to spell out, and nothing else."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ENGINE_PANEL = "TensorRT"
PROOF_PANEL = "Proof"

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint, or a run's folder.",
        show_default="the newest run's newest checkpoint, else the demo model",
    ),
]
Format = Annotated[str, typer.Option("--format", help="What to make; see above.")]
Precision = Annotated[
    str | None,
    typer.Option(help="What convolutions compute in; see above.", show_default="fp32; trt: fp16"),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="File to write, or a folder if it is one or ends in /; for triton, the model "
        "repository.",
        show_default="./exports/<name of the run or checkpoint>",
    ),
]
ImageIO = Annotated[
    Literal["uint8", "float"],
    typer.Option(
        help="Images of the graph: uint8 (RGB pixels, N,H,W,3) or float (N,3,H,W in [-1, 1])."
    ),
]
MaxBatch = Annotated[
    int | None,
    typer.Option(help="Greatest batch of the graph.", show_default="open; trt: 16"),
]
MaxSize = Annotated[
    int | None,
    typer.Option(
        help="Greatest height and width in pixels, of models that take several.",
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
        help="cpu or cuda: where to prove, and what pt2 compiles for.",
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
        help="Save the worst picture beside its amplified difference.",
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
        help="Batch that the engine is tuned for.",
        show_default="the greatest",
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
Stochastic = Annotated[
    bool,
    typer.Option(
        "--stochastic", help="Of a model with dropout, its masks become inputs to be drawn."
    ),
]
