"""Proves an artefact: the same inputs through it and through eager FP32 PyTorch.

Every entry point runs at batch 1, at an odd batch, at the greatest one, and if its images may have
other sizes, at a second size that is not square, so that a baked size and swapped sides show. Every
image input has images of its own, so that swapped inputs show. Styles are those that the model
makes of latents, where it does: far from them, its images mean nothing.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.backends.base import Runtime
from stargan_deploy.backends.difference import (
    FP32,
    TOLERANCES,
    Difference,
    Tolerance,
    compare_outputs,
    is_within,
    keeps,
    limits_for,
    overall,
    precision_of,
)
from stargan_deploy.backends.registry import package_names
from stargan_deploy.card.card import EntryPoint, Verdict, library_versions
from stargan_deploy.card.pixels import as_pixels
from stargan_deploy.card.styles import style_route
from stargan_deploy.errors import BackendError, ExportError, ParityError
from stargan_deploy.export.proof.cases import Case, make_cases
from stargan_deploy.export.proof.images import Faces, synthetic_face
from stargan_deploy.files.images import Pixels

_WORDING = {
    "max_difference": "max difference {:.0f} of 255",
    "mean_difference": "mean {:.2g}",
    "psnr_db": "PSNR {:.1f} dB",
    "logit_difference": "max difference of logits {:.1e}",
    "relative_difference": "relative {:.1e}",
    "label_agreement": "same labels {:.1%}",
    "vector_difference": "relative distance of vectors {:.1e}",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorstImage:
    """The image with the greatest difference."""

    source: Pixels | None
    """The first image input, (H, W, 3); None if there is none."""
    expected: Pixels
    """PyTorch's output."""
    actual: Pixels
    """The artefact's output."""
    place: str
    """Case, row and target: "batch 3 at 64x64, image 1 to Blond_Hair"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Result of comparing one entry point."""

    verdict: Verdict
    worst: WorstImage | None
    """None if the entry point makes no images."""

    @property
    def complaint(self) -> str:
        """The figures out of tolerance, and the worst place."""
        verdict = self.verdict
        wrong = [
            f"{name} is {verdict.measured[name]:.4g} (limit {limit:g})"
            for name, limit in verdict.tolerance.items()
            if not is_within(name, verdict.measured[name], limit)
        ]
        return (
            f"{verdict.entry_point!r} on {verdict.runtime} does not equal PyTorch: "
            f"{', '.join(wrong)}, worst at {verdict.worst_image}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finding:
    """Result for one output of one case."""

    case: Case
    difference: Difference
    worst: WorstImage | None


def tolerance_for(precision: Mapping[str, str]) -> Tolerance:
    """The limits that go with the precision that a card measured."""
    return TOLERANCES[precision_of(precision)]


def compare(
    reference: Runtime,
    candidate: Runtime,
    tolerance: Tolerance = FP32,
    faces: Faces = synthetic_face,
) -> tuple[Comparison, ...]:
    """Compares all entry points of an artefact with PyTorch's, passed or not.

    Args:
        reference: the checkpoint in eager FP32, entered.
        candidate: the artefact in the runtime that will run it, entered.
        tolerance: the limits.
        faces: images to try it on.

    Raises:
        ParityError: the candidate fails, or gives numbers that cannot be compared.
        ExportError: the checkpoint itself gives no finite numbers.
    """
    return tuple(
        _compare_entry_point(name, reference, candidate, tolerance, faces)
        for name in candidate.card.entry_points
    )


def check_passed(comparisons: Iterable[Comparison]) -> None:
    """Refuses what is out of tolerance.

    Raises:
        ParityError: an entry point did not pass.
    """
    failed = [found.complaint for found in comparisons if not found.verdict.passed]
    if failed:
        raise ParityError("; ".join(failed))


def describe(verdict: Verdict) -> str:
    """A verdict's figures in a line, and the place of the greatest difference."""
    figures = [_WORDING[name].format(value) for name, value in verdict.measured.items()]
    return f"{', '.join(figures)}; worst: {verdict.worst_image}"


def _compare_entry_point(
    name: str, reference: Runtime, candidate: Runtime, tolerance: Tolerance, faces: Faces
) -> Comparison:
    point = candidate.card.entry_points[name]
    cases = make_cases(point, candidate.card, faces)
    findings = [finding for case in cases for finding in _try(name, case, reference, candidate)]
    measured = overall(finding.difference for finding in findings)
    limits = limits_for(measured, tolerance)
    worst = max(findings, key=lambda finding: finding.difference.error)
    verdict = Verdict(
        entry_point=name,
        runtime=candidate.backend,
        device=str(candidate.device),
        passed=keeps(measured, limits),
        tolerance=limits,
        measured=measured,
        cases=tuple(case.name for case in cases),
        worst_image=_place(worst.case, worst.difference.worst_row, point),
        machine=candidate.device.name(),
        versions=library_versions("numpy", *package_names()),
    )
    return Comparison(verdict=verdict, worst=worst.worst)


def _try(
    entry_point: str, case: Case, reference: Runtime, candidate: Runtime
) -> Iterator[_Finding]:
    styles = _own_styles(reference, entry_point, case)
    wanted = _run(reference, entry_point, case, styles)
    try:
        found = _run(candidate, entry_point, case, styles)
    except BackendError as error:
        raise ParityError(f"it does not run at {case.name}: {error}") from error
    point = reference.card.entry_point(entry_point)
    for spec in point.outputs:
        expected, actual = wanted[spec.name], found[spec.name]
        _check_finite(entry_point, case, expected, actual)
        if spec.kind == "image":
            expected, actual = as_pixels(expected), as_pixels(actual)
        if expected.shape != actual.shape:
            shapes = f"{actual.shape} instead of {expected.shape}"
            raise ParityError(f"{entry_point!r} gives {shapes} at {case.name}")
        difference = compare_outputs(spec, expected, actual, reference.card.labels)
        worst = None
        if spec.kind == "image":
            row = difference.worst_row
            worst = WorstImage(
                source=case.pixels[row] if point.inputs_of("image") else None,
                expected=expected[row],
                actual=actual[row],
                place=_place(case, row, point),
            )
        yield _Finding(case=case, difference=difference, worst=worst)


def _own_styles(reference: Runtime, entry_point: str, case: Case) -> npt.NDArray[np.float32] | None:
    """Styles that the model makes of the case's latents, for an entry point that takes them."""
    route = style_route(reference.card)
    if route is None or route.by_latent is None or route.translate != entry_point:
        return None
    point = reference.card.entry_point(route.by_latent)
    made = reference.run(case.inputs(point), entry_point=route.by_latent)
    return made[point.outputs[0].name]


def _run(
    runtime: Runtime, entry_point: str, case: Case, styles: npt.NDArray[np.float32] | None
) -> dict[str, npt.NDArray[Any]]:
    point = runtime.card.entry_point(entry_point)
    inputs = dict(case.inputs(point))
    if styles is not None:
        inputs |= {spec.name: styles for spec in point.inputs_of("style")}
    return runtime.run(inputs, entry_point=entry_point)


def _check_finite(
    entry_point: str, case: Case, expected: npt.NDArray[Any], actual: npt.NDArray[Any]
) -> None:
    if not np.isfinite(expected).all():
        raise ExportError(
            f"the checkpoint's own {entry_point!r} gives numbers that are not finite: its "
            "training diverged",
            hint="export an earlier checkpoint",
        )
    if not np.isfinite(actual).all():
        raise ParityError(f"{entry_point!r} gives numbers that are not finite at {case.name}")


def _place(case: Case, row: int, point: EntryPoint) -> str:
    words = f" to {case.targets[row]}" if point.inputs_of("label") else ""
    return f"{case.name}, image {row + 1}{words}"
