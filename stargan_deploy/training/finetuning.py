"""Starts a training from earlier weights, even if those are for other labels."""

from pathlib import Path

from torch import Tensor

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import ModelError, brief
from stargan_deploy.families.base import Checkpoint, Family, OfficialOptions
from stargan_deploy.families.checkpoint import EMA_PREFIX, load_checkpoint, load_weights
from stargan_deploy.families.objectives.base import Objective
from stargan_deploy.families.registry import FAMILIES, load_family


def load_start(path: Path, labels: LabelSpace, *, family: str) -> Checkpoint:
    """Read weights to start from: one of our checkpoints, or an official one of the family.

    An official checkpoint is read as one for the run's own labels; a discriminator next to the
    generator is read too.

    Raises:
        ModelError: neither of these, or a checkpoint of another family.
        LabelError: an official checkpoint with another number of labels than the run.
    """
    owners = [name for name in FAMILIES if path.suffix in load_family(name).official_suffixes]
    if owners:
        _refuse_other_family(path, owners, family)
        return _read_official(path, labels, load_family(family))
    checkpoint = load_checkpoint(path)
    _refuse_other_family(path, [checkpoint.card.family], family)
    return checkpoint


def _read_official(path: Path, labels: LabelSpace, family: Family) -> Checkpoint:
    options = OfficialOptions(
        names=labels.names,
        discriminator_path=family.official_companion(path),
        domains=any(label_set.kind == "onehot" for label_set in labels.sets),
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
        except (ModelError, RuntimeError, KeyError) as error:
            raise ModelError(f"{complaint}: {brief(error)}") from error
        load_weights(network, weights, complaint=complaint)
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
