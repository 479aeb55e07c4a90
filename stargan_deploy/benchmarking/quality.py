"""The quality of images next to the time that they take: an evaluation's figures in a benchmark."""

import dataclasses
from collections.abc import Sequence

from stargan_deploy.benchmarking.results import Quality, Results, Row
from stargan_deploy.errors import DataError
from stargan_deploy.evaluation.results import ModelFigures
from stargan_deploy.evaluation.results import Results as Evaluation


def with_quality(results: Results, evaluation: Evaluation) -> Results:
    """A benchmark whose rows have the accuracy that an evaluation found for them.

    Args:
        results: of a checkpoint or an artefact.
        evaluation: of the same model, or of exports of it, whose backend and precision decide which
            row they belong to.

    Raises:
        DataError: the evaluation is of other models.
    """
    models = [
        model
        for model in evaluation.models
        if results.model_sha256 in (model.file_sha256, model.checkpoint_sha256)
    ]
    if not models:
        names = ", ".join(model.name for model in evaluation.models)
        raise DataError(
            f"the evaluation is of {names}, and the benchmark of {results.model}",
            hint="evaluate the same model, or its exports",
        )
    rows = tuple(dataclasses.replace(row, quality=_quality(row, models)) for row in results.rows)
    return dataclasses.replace(results, rows=rows)


def _quality(row: Row, models: Sequence[ModelFigures]) -> Quality | None:
    for model in models:
        is_same = (row.backend, row.asked_precision) == (model.backend, model.precision)
        found = (model.judge or model).accuracy
        if is_same and row.entry_point == model.entry_point and found is not None:
            return Quality(
                accuracy=found.value,
                low=found.low,
                high=found.high,
                seen_by="judge" if model.judge else "own classifier",
            )
    return None
