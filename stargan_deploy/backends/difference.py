"""How far an artefact's outputs are from eager FP32 PyTorch's, and how far they may be.

Images are compared as a person gets them, in 8-bit levels; logits relative to the greatest one;
styles and other vectors relative to their length.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card.card import Precision
from stargan_deploy.card.labels import FloatArray, LabelSpace
from stargan_deploy.card.pixels import Pixels, as_pixels
from stargan_deploy.card.tensors import TensorSpec
from stargan_deploy.errors import ExportError

BEST_PSNR_DB = 100.0
"""The PSNR of equal images; it is infinite, which JSON cannot hold."""

LEAST_LOGIT = 1e-6
"""Greatest logit of a batch below which all its logits count as zero."""

LEAST_LENGTH = 1e-6
"""Length below which a vector counts as zero."""

Measures = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far an artefact may be from eager FP32.

    The defaults are for FP32 artefacts, where only the order of the sums differs. Between PyTorch
    and onnxruntime on a CPU (full-size and trained small generators, 64x64 to 256x256) this moved
    no value by more than 0.0013 levels, so that only the few on a rounding border fall to its other
    side: one level, on up to 0.023 % of the values (mean 0.00023, 84 dB). A wrong graph is off by
    whole levels everywhere.
    """

    max_difference: float = 1.0
    """Greatest difference of a colour value, in 8-bit levels."""
    mean_difference: float = 0.01
    """Mean difference over all values of a batch, in 8-bit levels."""
    psnr_db: float = 65.0
    """Least peak signal-to-noise ratio of a picture, in dB."""
    relative_difference: float = 1e-3
    """Greatest difference of a logit, as a share of the batch's greatest logit."""
    label_agreement: float = 1.0
    """Least share of predicted labels that are the same."""
    vector_difference: float = 1e-3
    """Greatest distance of a style or another vector from what it should be, as a share of its
    length; a vector with the wrong sign is 2 away."""


FP32 = Tolerance()

TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": FP32,
    "fp16": Tolerance(
        max_difference=8,
        mean_difference=0.5,
        psnr_db=45,
        relative_difference=0.02,
        label_agreement=0.98,
        vector_difference=0.02,
    ),
    "bf16": Tolerance(
        max_difference=32,
        mean_difference=0.5,
        psnr_db=45,
        relative_difference=0.05,
        label_agreement=0.95,
        vector_difference=0.05,
    ),
    "int8": Tolerance(
        max_difference=255,
        mean_difference=4,
        psnr_db=32,
        relative_difference=0.2,
        label_agreement=0.9,
        vector_difference=0.2,
    ),
}
"""The limits by precision of the convolutions. Half precision has the gate of `auto`: a mean of
half a level and 45 dB, where no difference is visible; at INT8's 32 dB one can find it when looking
for it, which is why INT8 is taken only on request."""

_AT_LEAST = ("psnr_db", "label_agreement")
"""The figures whose limit is a lower one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a batch is from what it should be."""

    figures: Measures
    worst_row: int
    error: float
    """Size of the difference, to find the worst of several by."""
    num_labels: int = 0
    """Labels that `label_agreement` is a share of."""


def precision_of(measured: Mapping[str, str]) -> Precision:
    """The lowest precision that a graph's layers were measured to compute in."""
    names = "+".join(measured.values())
    if "int8" in names:
        return "int8"
    if "bfloat16" in names:
        return "bf16"
    return "fp16" if "float16" in names else "fp32"


def compare_outputs(
    spec: TensorSpec,
    expected: npt.NDArray[Any],
    actual: npt.NDArray[Any],
    labels: LabelSpace,
) -> Difference:
    """Compares a batch of an output by its kind: images in either form, logits, or vectors.

    Raises:
        ExportError: there is no measure for this kind.
    """
    if spec.kind == "image":
        return compare_images(as_pixels(expected), as_pixels(actual))
    if spec.kind == "logits":
        return compare_logits(expected, actual, labels)
    if spec.kind in ("style", "latent", "features"):
        return compare_vectors(expected, actual)
    raise ExportError(f"there is no measure for {spec.name!r}, an output of kind {spec.kind!r}")


def compare_images(expected: Pixels, actual: Pixels) -> Difference:
    """Compares images (N, H, W, 3) in [0, 255] of equal shape."""
    differences = np.abs(expected.astype(np.int16) - actual)
    squares = (differences.astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    figures = {
        "max_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "psnr_db": psnr_db(float(squares.max())),
    }
    return Difference(figures=figures, worst_row=int(squares.argmax()), error=float(squares.max()))


def compare_logits(expected: FloatArray, actual: FloatArray, labels: LabelSpace) -> Difference:
    """Compares logits (N, K)."""
    differences = np.abs(expected - actual)
    scale = max(float(np.abs(expected).max()), LEAST_LOGIT)
    same = labels.predicted(expected) == labels.predicted(actual)
    figures = {
        "logit_difference": float(differences.max()),
        "relative_difference": float(differences.max()) / scale,
        "label_agreement": float(same.mean()),
    }
    row = int(differences.max(axis=1).argmax())
    return Difference(
        figures=figures, worst_row=row, error=float(differences.max()), num_labels=same.size
    )


def compare_vectors(expected: FloatArray, actual: FloatArray) -> Difference:
    """Compares vectors (N, width) by their distance, relative to their length."""
    distances = np.linalg.norm(expected - actual, axis=1)
    lengths = np.maximum(np.linalg.norm(expected, axis=1), LEAST_LENGTH)
    relative = distances / lengths
    return Difference(
        figures={"vector_difference": float(relative.max())},
        worst_row=int(relative.argmax()),
        error=float(relative.max()),
    )


def overall(differences: Iterable[Difference]) -> Measures:
    """The worst of each figure over several batches; the agreement of labels over all of them.

    One label in five that flips in a batch of one image says little; one in a hundred does.
    """
    found = list(differences)
    worst: Measures = {}
    for difference in found:
        for name, value in difference.figures.items():
            pick = min if name in _AT_LEAST else max
            worst[name] = pick(worst.get(name, value), value)
    if num_labels := sum(difference.num_labels for difference in found):
        same = sum(d.figures.get("label_agreement", 0) * d.num_labels for d in found)
        worst["label_agreement"] = same / num_labels
    return worst


def limits_for(figures: Iterable[str], tolerance: Tolerance) -> Measures:
    """The limits that a tolerance sets to those figures that have one."""
    return {name: getattr(tolerance, name) for name in figures if hasattr(tolerance, name)}


def keeps(figures: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether all figures that have a limit keep it."""
    return all(is_within(name, figures[name], limit) for name, limit in limits.items())


def is_within(name: str, value: float, limit: float) -> bool:
    """Whether a figure keeps its limit."""
    return value >= limit if name in _AT_LEAST else value <= limit


def psnr_db(mean_square: float) -> float:
    """PSNR of 8-bit pictures, 10 log10(255^2 / MSE), capped at `BEST_PSNR_DB`."""
    if mean_square == 0:
        return BEST_PSNR_DB
    return min(BEST_PSNR_DB, 10 * float(np.log10(255.0**2 / mean_square)))
