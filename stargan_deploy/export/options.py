"""Options of an export, which the command line shows too; light to import."""

import dataclasses
from pathlib import Path
from typing import Literal

from stargan_deploy.backends.exporter import EngineOptions
from stargan_deploy.backends.registry import SOURCE
from stargan_deploy.card.tensors import PixelIO


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export, besides its source and its destination."""

    format: str = SOURCE
    """Format to export to."""
    precision: str | None = None
    """Compute precision of the convolutions; None takes the format's default."""
    io: PixelIO = "uint8"
    """Images that the graph takes and gives: uint8 (RGB, N,H,W,3) or float (N,3,H,W in [-1, 1])."""
    stochastic: bool = False
    """Whether to export the entry points that take dropout masks as inputs, instead of the
    others."""
    weights: Literal["ema", "raw"] | None = None
    """Moving average of the weights, or the last ones; None takes ema if there are any."""
    max_batch: int | None = None
    """Largest batch that the graph must take; None takes any, or 16 in an engine."""
    max_size: int | None = None
    """Largest height and width in pixels, for models that take several sizes; None takes any, or in
    an engine the size of training."""
    calibration: Path | None = None
    """Folder of photos to quantise with; None takes synthetic faces."""
    device: str | None = None
    """Device to prove the export on, and to compile for: cpu or cuda; None takes all that are
    usable, and compiles for a GPU if usable."""
    images: Path | None = None
    """Folder of photos to prove the export on; None takes those of `calibration` that are not
    quantised with, or synthetic faces."""
    overwrite: bool = False
    """Whether to export anew, and replace what is there."""
    engine: EngineOptions = dataclasses.field(default_factory=EngineOptions)
    """Settings of TensorRT's builder."""
