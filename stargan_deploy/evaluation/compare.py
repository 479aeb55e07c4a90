"""Compares two evaluations on the photos that both have: what is a difference, and what is noise.

Values are compared photo by photo, by the SHA-256 of the photos, with intervals of a bootstrap over
photos (see `statistics`). A difference is *noise* where its interval holds 0. It is a *regression*
where it is for the worse, and its whole interval is beyond what was allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stargan_deploy.errors import DataError
from stargan_deploy.evaluation.measures import is_share, measure_of
from stargan_deploy.evaluation.results import Difference, ModelFigures, Results
from stargan_deploy.evaluation.statistics import Bootstrap, Means
from stargan_deploy.evaluation.summary import array_values, differences


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two evaluations side by side."""

    fail_over: float
    """Share by which a share may become worse, 0.005 for half a point."""
    num_photos: int
    """Photos that both have."""
    differences: tuple[Difference, ...]
    """Of the models in B to those in A: each measure in all, and by target."""
    regressions: tuple[Difference, ...]
    """Those of shares in all that became worse beyond what is allowed."""
    remarks: tuple[str, ...] = ()


def compare(a: Results, b: Results, fail_over: float = 0.005) -> Comparison:
    """Compare evaluation B with A, the earlier one.

    Args:
        a: what to compare with.
        b: what is judged.
        fail_over: share by which a share may become worse.

    Raises:
        DataError: they have no photo or no target in common, or not the same models.
    """
    places = _common(a, b)
    targets = [name for name in a.targets if name in b.targets]
    if not targets:
        raise DataError(
            f"the evaluations have no target in common: {', '.join(a.targets)}, and "
            f"{', '.join(b.targets)}"
        )
    bootstrap = Bootstrap(len(places))
    found = tuple(
        difference
        for old, new in _pairs(a, b)
        for difference in differences(
            new.name,
            old.name,
            _means(b, new, targets, [place for _, place in places], bootstrap),
            _means(a, old, targets, [place for place, _ in places], bootstrap),
            targets,
        )
    )
    return Comparison(
        fail_over=fail_over,
        num_photos=len(places),
        differences=found,
        regressions=tuple(each for each in found if _is_regression(each, fail_over)),
        remarks=tuple(_remarks(a, b, len(places))),
    )


def _common(a: Results, b: Results) -> list[tuple[int, int]]:
    """Places in A and in B of the photos that both have."""
    in_b = {photo.sha256: place for place, photo in enumerate(b.photos)}
    places = [
        (place, in_b[photo.sha256]) for place, photo in enumerate(a.photos) if photo.sha256 in in_b
    ]
    if not places:
        raise DataError(
            "the evaluations have no photo in common, so that nothing can be compared",
            hint="evaluate both on the same data, with the same `count` and `seed`",
        )
    return places


def _pairs(a: Results, b: Results) -> list[tuple[ModelFigures, ModelFigures]]:
    """Models of the same name; the only ones of both, whatever their names."""
    if len(a.models) == len(b.models) == 1:
        return [(a.models[0], b.models[0])]
    new = {model.name: model for model in b.models}
    pairs = [(old, new[old.name]) for old in a.models if old.name in new]
    if not pairs:
        raise DataError(
            f"no model is in both evaluations: {', '.join(m.name for m in a.models)}, and "
            f"{', '.join(new)}",
            hint="evaluate one model in each, or models of the same names",
        )
    return pairs


def _means(
    results: Results,
    model: ModelFigures,
    targets: Sequence[str],
    places: Sequence[int],
    bootstrap: Bootstrap,
) -> Mapping[str, Means]:
    """Means of a model over some of the photos and targets."""
    rows = [results.targets.index(name) for name in targets]
    found = {}
    for name, values in array_values(model.values).items():
        kept = values if measure_of(name).is_of_photo else values[rows]
        found[name] = bootstrap.means(kept[:, places], is_share=is_share(name))
    return found


def _is_regression(found: Difference, fail_over: float) -> bool:
    if found.target or found.verdict != "worse" or not is_share(found.measure):
        return False
    loss = found.low if measure_of(found.measure).is_better == "lower" else -found.high
    return bool(loss > fail_over)


def _remarks(a: Results, b: Results, num_common: int) -> Iterator[str]:
    most = max(len(a.photos), len(b.photos))
    if num_common < most:
        yield f"compared on the {num_common} photos that both have, of {most}"
    judges = [results.judge.sha256 if results.judge else "" for results in (a, b)]
    if judges[0] != judges[1]:
        yield "the judges differ, so what they see says nothing about the models"
    only = np.setxor1d(a.targets, b.targets)
    if len(only):
        yield f"targets of one evaluation only: {', '.join(map(str, only))}"
