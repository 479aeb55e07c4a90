"""What a classifier reads in photos and in their translations, as values per photo and target.

Shapes: N photos of a group, T targets, K labels of the model, J labels of the reader.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stargan_deploy.card.labels import FloatArray, LabelSpace, Target
from stargan_deploy.evaluation.judge import Judge, Look
from stargan_deploy.evaluation.measures import key
from stargan_deploy.evaluation.meters.base import Found, Group, Meter
from stargan_deploy.evaluation.meters.realism import ImageSets
from stargan_deploy.evaluation.results import Confusion


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Columns of one target."""

    model: list[int]
    """Labels that the target names, among the model's."""
    reader: list[int]
    """The same labels among the reader's."""
    others: list[int]
    """Labels of the reader that the target leaves alone."""
    is_domain: bool
    """Whether exactly one of several domains is meant."""


class Readings(Meter):
    """Asks one reader about translations.

    Args:
        name: of the reader, which leads the names of its values.
        reader: reads labels.
        space: the model's labels.
        targets: what photos are translated to.
        only_own_sets: whether labels of other sets than the target's are ignored, because the
            reader was not trained on them together.
        sets: takes the reader's features, if it gives some.

    Raises:
        LabelError: a target names a label that the reader does not know.
    """

    def __init__(
        self,
        name: str,
        reader: Judge,
        space: LabelSpace,
        targets: Sequence[Target],
        *,
        only_own_sets: bool = False,
        sets: ImageSets | None = None,
    ) -> None:
        self._sets = sets
        self._name, self._reader = name, reader
        self._columns = [_columns(reader, space, t, only_own_sets) for t in targets]
        self._is_domains = all(columns.is_domain for columns in self._columns)
        self._seen_TJ = np.zeros((len(targets), len(reader.labels.names)))
        self._num_photos = 0

    @property
    def confusion(self) -> Confusion:
        """What is seen, or changed, after translation to each target."""
        shares = self._seen_TJ / max(1, self._num_photos)
        return Confusion(
            meaning="seen" if self._is_domains else "changed",
            labels=self._reader.labels.names,
            shares=tuple(tuple(map(float, row)) for row in shares),
        )

    def measure(self, group: Group) -> Found:
        """Values of all its measures, and how clearly the target is seen: `margin`."""
        before, after = group.looks[self._name], self._reader.look(group.flat_images)
        if self._sets is not None:
            self._sets.add(real=("", before.features), made=("", after.features))
        seen_TNJ = after.labels.reshape(*group.shape, -1)
        logits_TNJ = after.logits.reshape(seen_TNJ.shape)
        rows: dict[str, list[FloatArray]] = {}
        for t, columns in enumerate(self._columns):
            answers = self._answers(group, before, seen_TNJ[t], t)
            answers["margin"] = _margins(logits_TNJ[t], group.wanted[t], columns)
            for name, values in answers.items():
                rows.setdefault(name, []).append(values)
        changes = seen_TNJ if self._is_domains else seen_TNJ != before.labels
        self._seen_TJ += changes.sum(axis=1)
        self._num_photos += group.shape[1]
        found = {key(self._name, name): np.stack(values) for name, values in rows.items()}
        if self._is_domains:
            errors = _real_errors(before, group, self._columns)
            found[key(self._name, "real_classification_error")] = errors[None]
        return found

    def _answers(
        self, group: Group, before: Look, seen_NJ: FloatArray, t: int
    ) -> dict[str, FloatArray]:
        """Values (N,) of each measure for one target."""
        at = self._columns[t]
        wanted, own, given = (x[:, at.model] for x in (group.wanted[t], group.own, group.given))
        lacks = ~np.all(own == wanted, axis=1)  # NaN: not known to have it
        right = np.all(seen_NJ[:, at.reader] == wanted, axis=1)
        anyway = np.all(before.labels[:, at.reader] == wanted, axis=1)
        is_known = np.isfinite(given).all(axis=1)
        same = seen_NJ[:, at.others] == before.labels[:, at.others]
        kept = same.mean(axis=1) if at.others else np.full(len(same), np.nan)
        return {
            "accuracy": _where(lacks, right),
            "untranslated": _where(lacks, anyway),
            "real": _where(is_known, np.all(before.labels[:, at.reader] == given, axis=1)),
            "kept": kept.astype(np.float32),
            "classification_error": _where(np.full(len(right), at.is_domain), ~right),
        }


def _columns(reader: Judge, space: LabelSpace, target: Target, only_own_sets: bool) -> _Columns:
    names, read = tuple(target.changes), reader.labels
    columns = reader.columns(names)
    touched = {*names, *_rivals(space, names), *_rivals(read, names)}
    own_set = space.sets[target.set_index]
    others = [
        column
        for column, name in enumerate(read.names)
        if name not in touched and (name in own_set.names or not only_own_sets)
    ]
    return _Columns(
        model=[space.names.index(name) for name in names],
        reader=columns,
        others=others,
        is_domain=own_set.kind == "onehot",
    )


def _rivals(space: LabelSpace, names: Sequence[str]) -> set[str]:
    """The labels that cannot hold together with those named."""
    pairs = ((labels, name) for labels in space.sets for name in names if name in labels.names)
    return {rival for labels, name in pairs for rival in labels.rivals(name)}


def _where(counts: Any, answers: Any) -> FloatArray:
    """Answers as 0 and 1, NaN for photos that do not count."""
    values: FloatArray = np.where(counts, answers, np.nan).astype(np.float32)
    return values


def _margins(logits_NJ: FloatArray, wanted_NK: FloatArray, at: _Columns) -> FloatArray:
    """The least logit in the requested direction (N,); of domains, the lead over the others."""
    own = logits_NJ[:, at.reader]
    if at.is_domain:
        rest = np.delete(logits_NJ, at.reader, axis=1)
        best = rest.max(axis=1) if rest.shape[1] else np.zeros(len(rest), np.float32)
        lead: FloatArray = own[:, 0] - best
        return lead
    signs = 2 * wanted_NK[:, at.model] - 1
    least: FloatArray = (own * signs).min(axis=1)
    return least


def _real_errors(before: Look, group: Group, all_columns: Sequence[_Columns]) -> FloatArray:
    """1 where another domain is read in a photo than its own (N,), NaN where that is unknown."""
    model = [column for columns in all_columns for column in columns.model]
    reader = [column for columns in all_columns for column in columns.reader]
    truth, seen = group.given[:, model], before.labels[:, reader]
    is_known = np.isfinite(truth).all(axis=1)
    return _where(is_known, (truth != seen).any(axis=1))


def own_labels(given_NK: FloatArray, read: Iterable[FloatArray]) -> FloatArray:
    """Labels (N, K), those that a data set does not give as they are read.

    Args:
        given_NK: labels of the data set, NaN where it gives none.
        read: labels (N, K) as readers see them, NaN for those that they do not know; the first
            reader that knows a label counts.
    """
    own = given_NK
    for read_NK in read:
        own = np.where(np.isnan(own), read_NK, own)
    return own


def read_labels(reader: Judge, look: Look, space: LabelSpace) -> FloatArray:
    """Labels (N, K) in a model's order as a reader sees them, NaN for those it does not know."""
    found = np.full((len(look.labels), space.num_labels), np.nan, np.float32)
    for column, name in enumerate(space.names):
        if name in reader.labels.names:
            found[:, column] = look.labels[:, reader.labels.names.index(name)]
    return found
