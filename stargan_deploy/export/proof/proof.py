"""Proves an artefact on every usable device of its backend; without one, its source graph."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

from stargan_deploy.backends.difference import Tolerance
from stargan_deploy.backends.registry import (
    SOURCE,
    format_spec,
    load_exporter,
    open_reference,
    open_runtime,
)
from stargan_deploy.backends.spec import BackendSpec
from stargan_deploy.devices import is_cuda_usable
from stargan_deploy.errors import BackendError
from stargan_deploy.export.plan import ExportPlan
from stargan_deploy.export.proof.compare import Comparison, compare

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """Result of comparing, passed or not."""

    comparisons: tuple[Comparison, ...]
    unverified: str | None = None
    """Why the artefact itself cannot run here; the comparisons are then its source graph's."""


def prove_artefact(
    plan: ExportPlan,
    files: Mapping[str, Path],
    source: Mapping[str, Path],
    tolerance: Tolerance,
) -> Proof:
    """Compares an export with PyTorch where it can run, and reports where it cannot.

    Args:
        plan: the export.
        files: the files of each entry point, the main one first.
        source: the ONNX files that they were made from; empty if there are none.
        tolerance: the limits.

    Raises:
        ParityError: the artefact fails, or gives numbers that cannot be compared.
        BackendError: a device that the user named is not usable, or there is nothing to compare.
    """
    spec, (main, *_) = format_spec(plan.format), files.values()
    found, reasons = list[Comparison](), list[str]()
    for device in _devices(plan, spec):
        try:
            found += _compare(plan, main, spec.backend, device, tolerance)
        except BackendError as error:
            reasons.append(str(error))
    if found:
        for reason in reasons:
            _log.warning("proven on the CPU only: %s", reason)
        return Proof(comparisons=tuple(found))
    reason = "; ".join(reasons)
    if not source or load_exporter(plan.format).runs_source:
        raise BackendError(f"cannot prove the export: {reason}")
    first, *_ = source.values()
    comparisons = _compare(plan, first, SOURCE, "cpu", tolerance)
    return Proof(comparisons=tuple(comparisons), unverified=reason)


def _devices(plan: ExportPlan, spec: BackendSpec) -> tuple[str, ...]:
    if plan.options.device is not None:
        return (plan.options.device,)
    usable = tuple(kind for kind in spec.devices if kind == "cpu" or is_cuda_usable())
    return usable or spec.devices


def _compare(
    plan: ExportPlan, path: Path, backend: str, device: str, tolerance: Tolerance
) -> tuple[Comparison, ...]:
    candidate = open_runtime(path, backend=backend, device=device)
    weights, content = plan.card.weights, plan.content
    expected = open_reference(plan.checkpoint, device=device, weights=weights, content=content)
    with candidate, expected as reference:
        return compare(reference, candidate, tolerance, plan.proof_faces)
