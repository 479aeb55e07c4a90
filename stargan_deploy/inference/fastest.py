"""Chooses among artefacts of one checkpoint: the fastest that is proven here and good enough."""

import dataclasses
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from stargan_deploy.backends.registry import backends_for, read_card_of
from stargan_deploy.card.card import ModelCard, Verdict
from stargan_deploy.devices import machine_name
from stargan_deploy.errors import ModelError

GATE_MEAN_DIFFERENCE = 0.5
"""Mean difference of pictures, in 8-bit levels, that a choice nobody asked for may make."""

GATE_PSNR_DB = 45.0

PACKAGES = {
    "onnx": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "pt2": ("torch",),
    "trt": ("tensorrt", "tensorrt-rtx"),
}
"""Packages that compute for a backend: a verdict holds for the version that it was made with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """What to run a checkpoint with."""

    path: Path
    """The checkpoint itself, or an artefact of it."""
    backend: str
    speedup: float
    """Over eager FP32, when it was proven here."""
    reason: str
    """Why this one, in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An artefact that was not taken."""

    path: Path
    reason: str


def choose_fastest(
    checkpoint: Path, artefacts: Iterable[Path], *, device: str
) -> tuple[Choice, tuple[Refusal, ...]]:
    """The fastest way to run a checkpoint on a device, and what was passed over.

    Args:
        checkpoint: what the artefacts were made from; eager FP32 is always among the choices.
        artefacts: files that exist.
        device: "cpu" or "cuda:N".
    """
    best = Choice(path=checkpoint, backend="eager", speedup=1.0, reason="nothing faster is proven")
    refusals = []
    for path in artefacts:
        try:
            found = _judge(path, device)
        except ModelError as error:
            found = Refusal(path=path, reason=str(error))
        if isinstance(found, Refusal):
            refusals.append(found)
        elif found.speedup > best.speedup:
            best = found
    return best, tuple(refusals)


def _judge(path: Path, device: str) -> Choice | Refusal:
    """An artefact as a choice, or why it is none."""
    card, backend = read_card_of(path), backends_for(path)[0]
    verdicts = [v for v in card.verdicts if v.runtime == backend and _same_kind(v.device, device)]
    reason = _why_not(card, verdicts, device, backend)
    if reason:
        return Refusal(path=path, reason=reason)
    speedup = next((v.speedup for v in verdicts if v.entry_point == card.main_entry_point), None)
    conv = card.precision.get("conv", "float32")
    return Choice(
        path=path,
        backend=backend,
        speedup=speedup or 0.0,
        reason=f"{conv}, {speedup or 0:.1f}x as fast as eager when it was proven here",
    )


def _why_not(card: ModelCard, verdicts: list[Verdict], device: str, backend: str) -> str | None:
    """What keeps an artefact from being chosen, the first of several; None where nothing does."""
    passed = bool(verdicts) and all(verdict.passed for verdict in verdicts)
    others = [v.machine for v in verdicts if v.machine != machine_name(device)]
    current = all(_is_current(verdict, backend) for verdict in verdicts)
    is_int8 = "int8" in "+".join(card.precision.values())
    is_good = all(map(_passes_gate, verdicts))
    has_masks = any(point.is_stochastic for point in card.entry_points.values())
    gate = f"{GATE_PSNR_DB:g} dB and a mean of {GATE_MEAN_DIFFERENCE} levels"
    objections = {
        "INT8 is taken only where it is given as --model": is_int8,
        "it wants dropout's masks (--stochastic), which nobody draws here": has_masks,
        f"unverified: {card.unverified}": card.unverified is not None,
        f"not proven on {device}": not passed,
        f"proven on another machine ({', '.join(others)})": bool(others),
        f"proven with another version of {' or '.join(PACKAGES[backend])}": not current,
        f"below the gate of {gate}": not is_good,
    }
    return next((reason for reason, holds in objections.items() if holds), None)


def _passes_gate(verdict: Verdict) -> bool:
    """Whether pictures, if there are any, are as good as a choice nobody asked for must be."""
    figures = verdict.measured
    mean = figures.get("mean_difference", 0.0)
    return mean <= GATE_MEAN_DIFFERENCE and figures.get("psnr_db", GATE_PSNR_DB) >= GATE_PSNR_DB


def _is_current(verdict: Verdict, backend: str) -> bool:
    """Whether the package that computed then is installed now, in the same version."""
    recorded = {name: verdict.versions.get(name) for name in PACKAGES[backend]}
    return any(wanted and wanted == _installed(name) for name, wanted in recorded.items())


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _same_kind(first: str, second: str) -> bool:
    return first.partition(":")[0] == second.partition(":")[0]
