"""Chooses among a checkpoint's artefacts: the fastest that is proven here and good enough."""

import dataclasses
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from stargan_deploy.backends.registry import REFERENCE, runtime_spec
from stargan_deploy.card.card import ModelCard, Verdict
from stargan_deploy.devices import Device
from stargan_deploy.errors import UsageError
from stargan_deploy.inference.find import ModelFile
from stargan_deploy.inference.translator import check_size

GATE_MEAN_DIFFERENCE = 0.5
"""Greatest mean difference of images, in 8-bit levels, of an automatic choice."""

GATE_PSNR_DB = 45.0
"""Least PSNR of an automatic choice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A way to run a checkpoint."""

    model: ModelFile
    """The checkpoint itself, or an artefact of it."""
    backend: str
    speedup: float
    """Relative to eager FP32, as measured when it was proven here."""
    reason: str
    """Why it was chosen."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An artefact that was not chosen."""

    path: Path
    reason: str


def choose_fastest(
    checkpoint: ModelFile,
    artefacts: Iterable[ModelFile],
    *,
    device: Device,
    size: int | None = None,
) -> tuple[Choice, tuple[Refusal, ...]]:
    """The fastest way to run a checkpoint on a device, and the artefacts that were refused.

    Args:
        checkpoint: what the artefacts were made from; eager FP32 is always among the choices.
        artefacts: files that exist.
        device: the processor or GPU to run on.
        size: side of the images in pixels; None takes that of training.
    """
    best = Choice(
        model=checkpoint, backend=REFERENCE, speedup=1.0, reason="nothing faster is proven"
    )
    refusals = []
    for artefact in artefacts:
        found = _judge(artefact, device, size)
        if isinstance(found, Refusal):
            refusals.append(found)
        elif found.speedup > best.speedup:
            best = found
    return best, tuple(refusals)


def _judge(artefact: ModelFile, device: Device, size: int | None) -> Choice | Refusal:
    card, backend = artefact.card, artefact.backends[0]
    verdicts = [v for v in card.verdicts if v.runtime == backend and _is_on(v, device)]
    reason = _rejection_reason(card, verdicts, device, backend) or _size_reason(card, size)
    if reason:
        return Refusal(path=artefact.path, reason=reason)
    speedup = next((v.speedup for v in verdicts if v.entry_point == card.main_entry_point), None)
    conv = card.precision.get("conv", "float32")
    return Choice(
        model=artefact,
        backend=backend,
        speedup=speedup or 0.0,
        reason=f"{conv}, {speedup or 0:.1f}x as fast as eager when it was proven here",
    )


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
