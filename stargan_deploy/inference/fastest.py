"""Which of a checkpoint's artefacts `auto` may take: proven here, and good enough."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from stargan_deploy.backends.registry import runtime_spec
from stargan_deploy.card.card import ModelCard, Verdict
from stargan_deploy.devices import Device
from stargan_deploy.errors import UsageError, first_names
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.translator import check_size

GATE_MEAN_DIFFERENCE = 0.5
"""Greatest mean difference of images, in 8-bit levels, of an automatic choice."""

GATE_PSNR_DB = 45.0
"""Least PSNR of an automatic choice."""

MAX_NAMED = 2
"""Refused files that are named for each reason."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An artefact that was not chosen."""

    path: Path
    reason: str


def proven_here(
    artefacts: Iterable[ModelFile], *, device: Device, size: int | None = None
) -> tuple[list[ModelFile], list[Refusal]]:
    """The artefacts that are proven on a device and good enough, and those that were refused.

    Args:
        artefacts: files that exist.
        device: the processor or GPU to run on.
        size: side of the images in pixels; None takes that of training.
    """
    good, refusals = list[ModelFile](), list[Refusal]()
    for artefact in artefacts:
        card, backend = artefact.card, artefact.backends[0]
        verdicts = [v for v in card.verdicts if v.runtime == backend and _is_on(v, device)]
        reason = _rejection_reason(card, verdicts, device, backend) or _size_reason(card, size)
        if reason:
            refusals.append(Refusal(path=artefact.path, reason=reason))
        else:
            good.append(artefact)
    return good, refusals


def in_one_line(refusals: Sequence[Refusal]) -> str:
    """Refused artefacts by their reason."""
    by_reason = defaultdict[str, list[str]](list)
    for refusal in refusals:
        by_reason[refusal.reason].append(str(refusal.path))
    pairs = by_reason.items()
    return "; ".join(f"{first_names(paths, MAX_NAMED)} ({reason})" for reason, paths in pairs)


def _rejection_reason(
    card: ModelCard, verdicts: list[Verdict], device: Device, backend: str
) -> str | None:
    """The first of the reasons not to choose an artefact; None where there is none."""
    passed = bool(verdicts) and all(verdict.passed for verdict in verdicts)
    others = [v.machine for v in verdicts if v.machine != device.name()]
    current = all(_is_current(verdict, backend) for verdict in verdicts)
    is_int8 = "int8" in "+".join(card.precision.values())
    is_good = all(map(_passes_gate, verdicts))
    has_masks = any(point.is_stochastic for point in card.entry_points.values())
    packages = " or ".join(runtime_spec(backend).packages)
    gate = f"{GATE_PSNR_DB:g} dB and a mean of {GATE_MEAN_DIFFERENCE} levels"
    objections = {
        "INT8 is used only where the file is given as `model`": is_int8,
        "it takes dropout masks as inputs (`stochastic`), which are not supplied here": has_masks,
        f"unverified: {card.unverified}": card.unverified is not None,
        f"not proven on {device}": not passed,
        f"proven on another machine ({', '.join(others)})": bool(others),
        f"proven with another version of {packages}": not current,
        f"below the gate of {gate}": not is_good,
    }
    return next((reason for reason, holds in objections.items() if holds), None)


def _size_reason(card: ModelCard, size: int | None) -> str | None:
    """Why an artefact cannot run images of a size; None where it can."""
    making = [name for name, point in card.entry_points.items() if point.makes_images]
    try:
        for name in making if size is not None else ():
            check_size(card, size or 0, name)
    except UsageError as error:
        return error.message
    return None


def _passes_gate(verdict: Verdict) -> bool:
    """Whether images, if there are any, are good enough for an automatic choice."""
    figures = verdict.measured
    mean = figures.get("mean_difference", 0.0)
    return mean <= GATE_MEAN_DIFFERENCE and figures.get("psnr_db", GATE_PSNR_DB) >= GATE_PSNR_DB


def _is_current(verdict: Verdict, backend: str) -> bool:
    """Whether the package that computed then is installed now, in the same version."""
    recorded = {name: verdict.versions.get(name) for name in runtime_spec(backend).packages}
    return any(wanted and wanted == _installed(name) for name, wanted in recorded.items())


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _is_on(verdict: Verdict, device: Device) -> bool:
    return verdict.device.partition(":")[0] == device.kind
