"""Starts a training from earlier weights, even if those are for other labels."""

import dataclasses
from pathlib import Path

from torch import Tensor

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import ModelError, brief
from stargan_deploy.families.base import UNNAMED, Checkpoint, Family, OfficialOptions
from stargan_deploy.families.checkpoint import (
    EMA_PREFIX,
    load_checkpoint,
    load_weights,
    newest_of_run,
    newest_whole,
)
from stargan_deploy.families.objectives.base import Objective
from stargan_deploy.families.registry import FAMILIES, load_family, official_families


def find_start(path: Path) -> Path:
    """The file to start from; of a run's folder its newest whole checkpoint.

    Raises:
        ModelError: a folder without one.
    """
    if not path.is_dir():
        return path
    found = newest_of_run(path) or newest_whole(path.glob("*.safetensors"))
    if found is None:
        raise ModelError(f"{path} holds no whole checkpoint", hint="name a run's folder or a file")
    return found


def load_start(path: Path, labels: LabelSpace, *, family: str) -> Checkpoint:
    """Read weights to start from: one of our checkpoints, or an official one of the family.

    An official checkpoint, which has no names of labels, is read as one for the run's own labels if
    it has as many; a discriminator next to the generator is read too.

    Raises:
        ModelError: neither of these, or a checkpoint of another family.
    """
    owners = [name for name in FAMILIES if path.suffix in load_family(name).official_suffixes]
    if owners:
        _refuse_other_family(path, official_families(path) or owners, family)
        return _read_official(path, labels, load_family(family))
    checkpoint = load_checkpoint(path)
    _refuse_other_family(path, [checkpoint.card.family], family)
    return checkpoint


def _read_official(path: Path, labels: LabelSpace, family: Family) -> Checkpoint:
    by_kind = {
        kind: [name for each in labels.sets if each.kind == kind for name in each.names]
        for kind in ("multilabel", "onehot")
    }
    options = OfficialOptions(
        names=by_kind["multilabel"],
        domain_names=by_kind["onehot"],
        discriminator_path=family.official_companion(path),
        unnamed=True,
    )
    return family.read_official(path, options)


def _refuse_other_family(path: Path, found: list[str], wanted: str) -> None:
    if wanted not in found:
        raise ModelError(
            f"{path} is of the family {' or '.join(found)}, and this training is of the family "
            f"{wanted}, whose networks are different",
            hint=f"start from a checkpoint of {wanted}, or without `init_from`",
        )


def take_weights(objective: Objective, checkpoint: Checkpoint, *, family: str) -> list[str]:
    """Load a checkpoint's weights into an objective's networks.

    Args:
        objective: an objective with fresh networks; labels that the checkpoint does not know keep
            their fresh weights.
        checkpoint: the checkpoint to start from.
        family: the objective's family.

    Returns:
        One line about each thing that could not be loaded.

    Raises:
        ModelError: the checkpoint's networks have another shape.
    """
    old, labels, notes = checkpoint.card.labels, objective.labels, []
    for role, network in objective.networks.items():
        weights: dict[str, Tensor] = checkpoint.part(role) or checkpoint.part(f"{EMA_PREFIX}{role}")
        if not weights:
            notes.append(f"the checkpoint holds no {role}: it starts from scratch")
            continue
        fresh, complaint = network.state_dict(), f"the checkpoint's {role} does not fit"
        try:
            if old != labels:
                weights = load_family(family).relabel(role, weights, fresh, old=old, new=labels)
            load_weights(network, weights, complaint=complaint)
        except (ModelError, RuntimeError, KeyError) as error:
            _refuse_other_shape(checkpoint, objective, family=family, complaint=complaint)
            raise ModelError(f"{complaint}: {brief(error)}") from error
    if any(name.startswith(UNNAMED) for name in old.names):
        return [
            *notes,
            f"the checkpoint has {old.label_width} labels without names, and this training "
            f"{labels.label_width}: all of these start from scratch (stargan-deploy convert "
            "gives it names)",
        ]
    notes += [
        f"label {name} is new: it starts from scratch"
        for name in labels.names
        if name not in old.names
    ]
    return notes + [
        f"label {name} of the checkpoint is dropped"
        for name in old.names
        if name not in labels.names
    ]


def _refuse_other_shape(
    checkpoint: Checkpoint, objective: Objective, *, family: str, complaint: str
) -> None:
    """Name the settings by which the networks differ, if there are any."""
    settings = {entry.name for entry in dataclasses.fields(load_family(family).model_config)}
    wanted, found = objective.network_table(), checkpoint.card.network
    changed = [
        f"{key} {found[key]} -> {wanted[key]}"
        for key in wanted
        if key in settings | {"image_size"} and key in found and found[key] != wanted[key]
    ]
    if changed:
        raise ModelError(
            f"{complaint}: {', '.join(changed)}",
            hint="set the values of the checkpoint, or start without `init_from`",
        )
