"""Adds a verdict to an artefact later, on the machine that will run it."""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from stargan_deploy.backends.artefact import companion_path
from stargan_deploy.backends.registry import (
    backends_for,
    load_exporter,
    open_reference,
    open_runtime,
    read_card_of,
)
from stargan_deploy.backends.spec import CHECKPOINT_SUFFIX
from stargan_deploy.card.card import ModelCard, Verdict
from stargan_deploy.errors import ModelError, StarganDeployError, UsageError
from stargan_deploy.export.plan import checkpoint_sha256
from stargan_deploy.export.proof.compare import Comparison, compare, tolerance_for
from stargan_deploy.export.proof.images import Faces, photo_faces, photos_in, synthetic_face

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verification:
    """Result of comparing an artefact with its checkpoint, passed or not."""

    card: ModelCard
    """The artefact's card, with the new verdicts."""
    comparisons: tuple[Comparison, ...]
    checkpoint: Path


def verify(
    path: Path,
    *,
    checkpoint: Path,
    device: str | None = None,
    images: Path | None = None,
) -> Verification:
    """Compares an artefact with eager FP32 PyTorch here, and writes the verdict into its files.

    Args:
        path: the artefact, of any format.
        checkpoint: its source; see `find_checkpoint`.
        device: where to run both; None takes the best usable one.
        images: folder of photos to compare on; None takes synthetic faces.

    Returns:
        The result; a verdict that did not pass is written too.

    Raises:
        UsageError: the file is a checkpoint.
        ModelError: not one of our artefacts, changed, or made from another checkpoint.
        BackendError: it cannot run here. The artefact is then as it was.
        OutputError: its files cannot be written.
    """
    card = read_card_of(path)
    if (path.parent.parent / "config.pbtxt").is_file():
        raise UsageError(f"{path} is part of a Triton model, which its export has proven")
    if path.suffix.lower() == CHECKPOINT_SUFFIX:
        raise UsageError(f"{path} is a checkpoint", hint="give the exported artefact to verify")
    if checkpoint_sha256(checkpoint) != card.parents.get("checkpoint"):
        raise ModelError(f"{path} was not made from {checkpoint}: the card names another content")
    faces = photo_faces(photos_in(images), card.preprocessing) if images else synthetic_face
    comparisons = _compare(path, card, checkpoint, device, faces)
    card = _with_verdicts(card, [comparison.verdict for comparison in comparisons])
    target = load_exporter(backends_for(path)[0])
    for file in _files_of(path, card):
        target.attach_card(file, card)
    return Verification(card=card, comparisons=comparisons, checkpoint=checkpoint)


def find_checkpoint(card: ModelCard, candidates: Iterable[Path]) -> Path:
    """The checkpoint that an artefact was made from, identified by hash.

    Raises:
        ModelError: none of the candidates is it.
    """
    wanted = card.parents.get("checkpoint")
    found = next((path for path in candidates if checkpoint_sha256(path) == wanted), None)
    if found is None:
        raise ModelError(
            "the checkpoint that this artefact was made from is not here (its SHA-256 starts with "
            f"{(wanted or 'unknown')[:12]})",
            hint="name it with `checkpoint`; it is not next to the artefact, in this folder, in "
            "./runs or in the package",
        )
    return found


def _compare(
    path: Path, card: ModelCard, checkpoint: Path, device: str | None, faces: Faces
) -> tuple[Comparison, ...]:
    with open_runtime(path, backend=backends_for(path)[0], device=device) as candidate:
        expected = open_reference(checkpoint, device=str(candidate.device), weights=card.weights)
        with expected as reference:
            return compare(reference, candidate, tolerance_for(card.precision), faces)


def _with_verdicts(card: ModelCard, verdicts: Sequence[Verdict]) -> ModelCard:
    """A card in which new verdicts replace those of the same kind."""
    replaced = {_kind(verdict) for verdict in verdicts}
    kept = tuple(verdict for verdict in card.verdicts if _kind(verdict) not in replaced)
    return dataclasses.replace(card, verdicts=(*kept, *verdicts), unverified=None)


def _kind(verdict: Verdict) -> tuple[str, str, str, str]:
    return (verdict.entry_point, verdict.runtime, verdict.device, verdict.machine)


def _files_of(path: Path, card: ModelCard) -> list[Path]:
    """The artefact's existing files; the one given, which may be renamed, comes last."""
    named = {companion_path(path, point, card) for point in card.entry_points.values()}
    others = sorted(file for file in named if file.is_file() and file != path)
    return [*(file for file in others if _is_of(file, card)), path]


def _is_of(file: Path, card: ModelCard) -> bool:
    """Whether a file next to it belongs to the artefact, and not to another of the same name."""
    try:
        return read_card_of(file).entry_points == card.entry_points
    except StarganDeployError as error:
        _log.warning("%s is left as it is: %s", file, error)
        return False
