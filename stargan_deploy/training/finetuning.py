"""Starting a training from weights that were trained before, also for other labels."""

from pathlib import Path

from torch import Tensor

from stargan_deploy.card.labels import LabelSpace
from stargan_deploy.errors import ModelError, brief
from stargan_deploy.families.checkpoint import EMA_PREFIX, Checkpoint, load_checkpoint, load_weights
from stargan_deploy.families.convert import OFFICIAL_FAMILY, read_official
from stargan_deploy.families.objectives.base import Objective
from stargan_deploy.families.registry import load_family

OFFICIAL_SUFFIXES = (".ckpt", ".pth", ".pt")


def load_start(path: Path, labels: LabelSpace, *, family: str) -> Checkpoint:
    """Reads weights to start from: a checkpoint of ours, or an official generator.

    An official `200000-G.ckpt` is taken for one of the run's own labels, and a `200000-D.ckpt`
    beside it is read too.

    Raises:
        ModelError: neither of these, or one of another family than the run's.
        LabelError: an official checkpoint with another number of labels than the run.
    """
    if path.suffix not in OFFICIAL_SUFFIXES:
        checkpoint = load_checkpoint(path)
        _refuse_other_family(path, checkpoint.card.family, family)
        return checkpoint
    _refuse_other_family(path, OFFICIAL_FAMILY, family)
    beside = path.with_name(path.name.replace("-G.", "-D."))
    return read_official(
        path,
        names=labels.names,
        discriminator_path=beside if beside != path and beside.is_file() else None,
        domains=any(own.kind == "onehot" for own in labels.sets),
    )


def _refuse_other_family(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise ModelError(
            f"{path} is of the family {found}, and this training is of the family {wanted}, whose "
            f"networks are others: start from a checkpoint of {wanted}, or without --init-from"
        )


def take_weights(objective: Objective, checkpoint: Checkpoint, *, family: str) -> list[str]:
    """Puts a checkpoint's weights into an objective's networks.

    Args:
        objective: with fresh networks; of its labels, weights of those that the checkpoint knows
            are kept, the others are fresh.
        checkpoint: what to start from.
        family: of the objective.

    Returns:
        A line about each thing that could not be taken over.

    Raises:
        ModelError: the checkpoint's networks have another shape.
    """
    old, labels, notes = checkpoint.card.labels, objective.labels, []
    for role, network in objective.networks.items():
        weights: dict[str, Tensor] = checkpoint.part(role) or checkpoint.part(f"{EMA_PREFIX}{role}")
        if not weights:
            notes.append(f"the checkpoint holds no {role}: it starts anew")
            continue
        fresh, complaint = network.state_dict(), f"the checkpoint's {role} does not fit"
        try:
            if old != labels:
                weights = load_family(family).relabel(role, weights, fresh, old=old, new=labels)
        except (ModelError, RuntimeError, KeyError) as error:
            raise ModelError(f"{complaint}: {brief(error)}") from error
        load_weights(network, weights, complaint=complaint)
    notes += [
        f"label {name} is new: it starts anew" for name in labels.names if name not in old.names
    ]
    return notes + [
        f"label {name} of the checkpoint is dropped"
        for name in old.names
        if name not in labels.names
    ]
