"""From values per photo to figures with intervals, and differences between models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stargan_deploy.evaluation.measures import (
    BY_READERS,
    JUDGE,
    OWN,
    is_share,
    key,
    measure_of,
)
from stargan_deploy.evaluation.results import (
    Answers,
    AttributeFigures,
    Confusion,
    Difference,
    Figure,
    MeasureFigures,
    Values,
    Verdict,
)
from stargan_deploy.evaluation.statistics import Bootstrap, Means, difference

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures of one model, in the parts that `ModelFigures` is made of."""

    own: Answers
    judge: Answers | None
    measures: dict[str, MeasureFigures]
    means: Mapping[str, Means]
    """What the figures were made of, to compare models by."""


def summarise(
    values: Mapping[str, Array],
    targets: Sequence[str],
    bootstrap: Bootstrap,
    confusions: Mapping[str, Confusion],
) -> Summary:
    """Make figures of values (T, P) or (1, P) by measure."""
    means = {name: bootstrap.means(rows, is_share=is_share(name)) for name, rows in values.items()}
    own, judge = (_answers(r, means, targets, confusions.get(r)) for r in (OWN, JUDGE))
    plain = {name: _measure(found, targets) for name, found in means.items() if "." not in name}
    return Summary(
        own=own or Answers(),
        judge=judge,
        measures={name: figures for name, figures in plain.items() if figures is not None},
        means=means,
    )


def differences(
    model: str,
    against: str,
    means: Mapping[str, Means],
    others: Mapping[str, Means],
    targets: Sequence[str],
) -> tuple[Difference, ...]:
    """A model's differences to another: each measure in all, and for each target.

    Args:
        model: name of the model.
        against: name of the other one.
        means: the model's.
        others: the other one's, from the same bootstrap.
        targets: names of the rows.
    """
    found = []
    for name in sorted(means.keys() & others.keys()):
        num_rows = len(means[name].means)
        rows = (
            [((), "")] if num_rows == 1 else [((), ""), *(((t,), n) for t, n in enumerate(targets))]
        )
        for chosen, target in rows:
            interval = difference(others[name], means[name], *chosen)
            if interval is not None:
                found.append(_difference(model, against, name, target, interval))
    return tuple(found)


def verdict_of(name: str, low: float, high: float) -> Verdict:
    """What a difference of a measure with an interval is."""
    if low <= 0 <= high:
        return "noise"
    better = measure_of(name).is_better
    if better == "neither":
        return "different"
    return "better" if (low > 0) == (better == "higher") else "worse"


def raw_values(values: Mapping[str, Array]) -> Values:
    """Values as they are kept in a file: None in place of NaN."""
    return {
        name: tuple(
            tuple(None if np.isnan(value) else float(value) for value in row) for row in rows
        )
        for name, rows in values.items()
    }


def array_values(values: Values) -> dict[str, Array]:
    """Values of a file as arrays."""
    return {name: np.array(rows, np.float64) for name, rows in values.items()}


def _difference(model: str, against: str, name: str, target: str, interval: Figure) -> Difference:
    return Difference(
        model=model,
        against=against,
        measure=name,
        target=target,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        num=interval.num,
        verdict=verdict_of(name, interval.low, interval.high),
    )


def _answers(
    reader: str, means: Mapping[str, Means], targets: Sequence[str], confusion: Confusion | None
) -> Answers | None:
    """Everything that a reader sees; None where there is no such reader."""
    own = {name: means[key(reader, name)] for name in BY_READERS if key(reader, name) in means}
    if not own:
        return None
    whole = {name: found.interval() for name, found in own.items()}
    by_target = {
        target: AttributeFigures(
            **{
                name: found.interval(t)
                for name, found in own.items()
                if not measure_of(name).is_of_photo and hasattr(AttributeFigures, name)
            }
        )
        for t, target in enumerate(targets)
    }
    return Answers(attributes=by_target, confusion=confusion, **whole)


def _measure(found: Means, targets: Sequence[str]) -> MeasureFigures | None:
    whole = found.interval()
    if whole is None:
        return None
    rows = enumerate(targets) if len(found.means) > 1 else ()
    each = {target: found.interval(t) for t, target in rows}
    return MeasureFigures(
        **vars(whole), by_target={name: figure for name, figure in each.items() if figure}
    )
