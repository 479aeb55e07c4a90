"""Existing files at an export's destination: the same export, another one, or foreign files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from stargan_deploy.backends.artefact import ArtefactRuntime
from stargan_deploy.backends.base import FileRuntime
from stargan_deploy.backends.difference import precision_of
from stargan_deploy.backends.exporter import Exporter
from stargan_deploy.backends.registry import format_spec, load_runtime
from stargan_deploy.card.card import ModelCard
from stargan_deploy.config import flatten
from stargan_deploy.errors import StarganDeployError, UsageError
from stargan_deploy.export.leftovers import find_orphans

FOREIGN = "not an export of stargan-deploy"

MAX_NAMED = 4
"""Differences that a message names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Existing:
    """The files that are there already."""

    same: ModelCard | None = None
    """Card of the same export, if it is there, whole."""
    replaced: Mapping[Path, str] = dataclasses.field(default_factory=dict)
    """Files that are going to be replaced, with what they hold."""


def look_at_existing(
    files: Mapping[str, Path], wanted: ModelCard, exporter: Exporter, *, overwrite: bool
) -> Existing:
    """Find out what an export meets.

    Args:
        files: the main file of each entry point.
        wanted: the card of the export, still without hashes and verdicts.
        exporter: writes the format.
        overwrite: whether all is exported anew, and other files are replaced.

    Raises:
        UsageError: there is something else, and `overwrite` is not set.
    """
    main, *_ = files.values()
    orphans = find_orphans(main)
    whole = [part for path in files.values() for part in (path, *exporter.side_files(path))]
    present = [p for p in whole if p.exists() and not orphans & {p, *p.parents}]
    if not present:
        return Existing()
    card = _card_at(main, exporter, wanted)
    problem = _problem(card, files, exporter, wanted)
    if not problem and not overwrite:
        return Existing(same=card)
    if not overwrite:
        raise UsageError(
            f"{present[0]} is there already and {problem}",
            hint="replace it with `overwrite`, or choose another `out`",
        )
    held = FOREIGN if card is None else summary(card)
    return Existing(replaced=dict.fromkeys(present, held))


def summary(card: ModelCard) -> str:
    """Describe in a few words the export that a file holds."""
    parent = card.parents.get("checkpoint", "unknown")[:12]
    precision = precision_of(card.precision)
    return f"{precision}, {card.weights} weights of step {card.step}, checkpoint {parent}"


def differences(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """The settings that differ, as "precision is fp16, not fp32"."""
    old, new = flatten(found), flatten(wanted)
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    parts = [f"{n} is {_text(old.get(n))}, not {_text(new.get(n))}" for n in names[:MAX_NAMED]]
    more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return "; ".join((*parts, *more))


def _problem(
    card: ModelCard | None, files: Mapping[str, Path], exporter: Exporter, wanted: ModelCard
) -> str:
    """Why the files are not the wanted export; empty where they are."""
    if card is None:
        return f"is {FOREIGN}"
    if not card.export:
        return "was exported by a version that kept no settings"
    if found := differences(_identity(card), _identity(wanted)):
        return f"holds another export: {found}"
    if _interface(card) != _interface(wanted):
        return "holds another export: its inputs and outputs differ"
    damaged = [p for name, p in files.items() if not _is_whole(name, p, card, exporter, wanted)]
    return f"is damaged ({damaged[0].name})" if damaged else ""


def _identity(card: ModelCard) -> dict[str, object]:
    return {
        "checkpoint": card.parents.get("checkpoint", "")[:12],
        "weights": card.weights,
        **card.export,
    }


def _interface(card: ModelCard) -> dict[str, object]:
    return {name: (point.inputs, point.outputs) for name, point in card.entry_points.items()}


def _is_whole(
    name: str, path: Path, card: ModelCard, exporter: Exporter, wanted: ModelCard
) -> bool:
    """Whether a file holds the payload that the main file's card names."""
    try:
        runtime = _runtime(path, exporter, wanted)
        sha256 = runtime.payload_sha256() if isinstance(runtime, ArtefactRuntime) else None
    except (StarganDeployError, OSError):
        return False
    return sha256 in (None, card.entry_points[name].payload_sha256)


def _card_at(path: Path, exporter: Exporter, wanted: ModelCard) -> ModelCard | None:
    try:
        return _runtime(path, exporter, wanted).card
    except (StarganDeployError, OSError):
        return None


def _runtime(path: Path, exporter: Exporter, wanted: ModelCard) -> FileRuntime:
    backend = format_spec(str(wanted.export["format"])).backend
    return load_runtime(backend)(exporter.graph_file(path))


def _text(value: object) -> str:
    return "not set" if value is None else str(value)
