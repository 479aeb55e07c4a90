"""Proves an artefact: the same faces and labels through it and through eager FP32 PyTorch.

Pictures are compared as a person gets them, in 8-bit levels; logits relative to the greatest one.
Every entry point runs at batch 1, at an odd batch, and where its images may have other sizes, at a
second size that is not square, so that a baked size and swapped sides show.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.card import EntryPoint, TensorSpec, Verdict, library_versions
from stargan_deploy.errors import BackendError, ExportError, ParityError
from stargan_deploy.exporters.cases import Case, make_cases
from stargan_deploy.images import Pixels, pixels_to_tensor, tensor_to_pixels
from stargan_deploy.labels import FloatArray, LabelSpace
from stargan_deploy.runtimes.base import Runtime

BEST_PSNR_DB = 100.0
"""What equal pictures count as; their PSNR is infinite, which JSON cannot hold."""

LEAST_LOGIT = 1e-6
"""Greatest logit of a batch below which all its logits count as zero."""

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


FP32 = Tolerance()

_AT_LEAST = ("psnr_db", "label_agreement")
"""The figures whose limit is a lower one."""


_WORDING = {
    "max_difference": "max difference {:.0f} of 255",
    "mean_difference": "mean {:.2g}",
    "psnr_db": "PSNR {:.1f} dB",
    "logit_difference": "max difference of logits {:.1e}",
    "relative_difference": "relative {:.1e}",
    "label_agreement": "same labels {:.1%}",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finding:
    """What one case showed."""

    case: Case
    figures: Measures
    worst_row: int
    badness: float
    """What the worst of several findings is chosen by."""


def prove(
    reference: Runtime, candidate: Runtime, tolerance: Tolerance = FP32
) -> tuple[Verdict, ...]:
    """Compares all entry points of an artefact with PyTorch's.

    Args:
        reference: the checkpoint in eager FP32, entered.
        candidate: the artefact in the runtime that will run it, entered.
        tolerance: the limits.

    Returns:
        One verdict an entry point; all of them passed.

    Raises:
        ParityError: an entry point is out of tolerance.
        ExportError: the checkpoint itself gives no finite numbers.
    """
    verdicts = tuple(
        _prove_entry_point(name, reference, candidate, tolerance)
        for name in candidate.card.entry_points
    )
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        raise ParityError("; ".join(map(_complaint, failed)))
    return verdicts


def describe(verdict: Verdict) -> str:
    """A verdict's figures in a line, and where the greatest difference stood."""
    figures = (_WORDING[name].format(value) for name, value in verdict.measured.items())
    return f"{', '.join(figures)}; worst: {verdict.worst_image}"


def _prove_entry_point(
    name: str, reference: Runtime, candidate: Runtime, tolerance: Tolerance
) -> Verdict:
    cases = make_cases(candidate.card.entry_points[name], candidate.card)
    findings = [finding for case in cases for finding in _compare(name, case, reference, candidate)]
    measured = _overall(findings)
    limits = {key: getattr(tolerance, key) for key in measured if hasattr(tolerance, key)}
    worst = max(findings, key=lambda finding: finding.badness)
    return Verdict(
        entry_point=name,
        runtime=candidate.backend,
        device=candidate.device,
        passed=all(_within(key, measured[key], limit) for key, limit in limits.items()),
        tolerance=limits,
        measured=measured,
        cases=tuple(case.name for case in cases),
        worst_image=_place(worst, candidate.card.entry_points[name]),
        versions=library_versions("torch", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu"),
    )


def _compare(
    entry_point: str, case: Case, reference: Runtime, candidate: Runtime
) -> Iterable[_Finding]:
    wanted = reference.run(_encode(reference, entry_point, case), entry_point=entry_point)
    found = _run_candidate(entry_point, case, candidate)
    for spec in reference.card.entry_point(entry_point).outputs:
        expected, actual = wanted[spec.name], found[spec.name]
        if not np.isfinite(expected).all():
            raise ExportError(
                f"the checkpoint's own {entry_point!r} gives numbers that are not finite: its "
                "training diverged; export an earlier checkpoint"
            )
        if not np.isfinite(actual).all():
            raise ParityError(f"{entry_point!r} gives numbers that are not finite at {case.name}")
        if spec.kind == "image":
            yield _compare_pictures(case, _as_pixels(expected), _as_pixels(actual))
        else:
            yield _compare_logits(case, expected, actual, reference.card.labels)


def _run_candidate(
    entry_point: str, case: Case, candidate: Runtime
) -> Mapping[str, npt.NDArray[Any]]:
    try:
        return candidate.run(_encode(candidate, entry_point, case), entry_point=entry_point)
    except BackendError as error:
        raise ParityError(f"it does not run at {case.name}: {error}") from error


def _compare_pictures(case: Case, expected: Pixels, actual: Pixels) -> _Finding:
    if expected.shape != actual.shape:
        raise ParityError(f"pictures of {actual.shape} instead of {expected.shape} at {case.name}")
    differences = np.abs(expected.astype(np.int16) - actual)
    squares = (differences.astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    figures = {
        "max_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "psnr_db": _psnr_db(float(squares.max())),
    }
    row = int(squares.argmax())
    return _Finding(case=case, figures=figures, worst_row=row, badness=float(squares.max()))


def _compare_logits(
    case: Case, expected: FloatArray, actual: FloatArray, labels: LabelSpace
) -> _Finding:
    differences = np.abs(expected - actual)
    scale = max(float(np.abs(expected).max()), LEAST_LOGIT)
    same = labels.predicted(expected) == labels.predicted(actual)
    figures = {
        "logit_difference": float(differences.max()),
        "relative_difference": float(differences.max()) / scale,
        "label_agreement": float(same.mean()),
    }
    row = int(differences.max(axis=1).argmax())
    return _Finding(case=case, figures=figures, worst_row=row, badness=float(differences.max()))


def _overall(findings: Sequence[_Finding]) -> Measures:
    """The worst of each figure over the cases."""
    worst: Measures = {}
    for finding in findings:
        for name, value in finding.figures.items():
            pick = min if name in _AT_LEAST else max
            worst[name] = pick(worst.get(name, value), value)
    return worst


def _within(name: str, value: float, limit: float) -> bool:
    return value >= limit if name in _AT_LEAST else value <= limit


def _psnr_db(mean_square: float) -> float:
    """PSNR of 8-bit pictures, 10 log10(255^2 / MSE), capped at `BEST_PSNR_DB`."""
    if mean_square == 0:
        return BEST_PSNR_DB
    return min(BEST_PSNR_DB, 10 * float(np.log10(255.0**2 / mean_square)))


def _encode(runtime: Runtime, entry_point: str, case: Case) -> Mapping[str, npt.NDArray[Any]]:
    specs = runtime.card.entry_point(entry_point).inputs
    return {spec.name: _encode_input(spec, case) for spec in specs}


def _encode_input(spec: TensorSpec, case: Case) -> npt.NDArray[Any]:
    if spec.kind == "image":
        return case.pixels if spec.dtype == "uint8" else pixels_to_tensor(case.pixels)
    if spec.kind == "label":
        return case.labels
    raise ExportError(f"there is no way yet to prove an input of kind {spec.kind!r}")


def _as_pixels(image: npt.NDArray[Any]) -> Pixels:
    return image if image.dtype == np.uint8 else tensor_to_pixels(image)


def _place(finding: _Finding, point: EntryPoint) -> str:
    target = finding.case.targets[finding.worst_row]
    words = f" to {target}" if point.input("label") else ""
    return f"{finding.case.name}, image {finding.worst_row + 1}{words}"


def _complaint(verdict: Verdict) -> str:
    wrong = [
        f"{name} is {verdict.measured[name]:.4g} (limit {limit:g})"
        for name, limit in verdict.tolerance.items()
        if not _within(name, verdict.measured[name], limit)
    ]
    return (
        f"{verdict.entry_point!r} on {verdict.runtime} does not equal PyTorch: {', '.join(wrong)}, "
        f"worst at {verdict.worst_image}"
    )
