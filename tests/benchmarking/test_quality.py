from dataclasses import replace

import pytest

from stargan_deploy.benchmarking.quality import with_quality
from stargan_deploy.benchmarking.report.columns import main_table
from stargan_deploy.errors import DataError
from stargan_deploy.evaluation.results import Answers, Figure
from tests.evaluation.test_compare import results as evaluation_of
from tests.evaluation.test_compare import right


def evaluated(row, sha256, **changes):
    found = evaluation_of(right(0.9, num=20))
    judged = Answers(accuracy=Figure(value=0.9, low=0.8, high=0.95, num=20))
    model = replace(
        found.models[0],
        file_sha256=sha256,
        backend=row.backend,
        precision=row.asked_precision,
        entry_point=row.entry_point,
        judge=judged,
    )
    return replace(found, models=(replace(model, **changes),))


def test_rows_have_the_accuracy_of_their_backend_and_precision(results):
    first = results.rows[0]
    found = with_quality(results, evaluated(first, results.model_sha256))
    same = [
        row
        for row in found.rows
        if (row.backend, row.asked_precision) == (first.backend, first.asked_precision)
        and row.entry_point == first.entry_point
    ]
    assert same
    assert all(row.quality.accuracy == 0.9 for row in same)
    assert all(row.quality.seen_by == "judge" for row in same)
    assert sum(row.quality is not None for row in found.rows) == len(same)
    assert "accuracy" in main_table(found.rows).columns
    assert "accuracy" not in main_table(results.rows).columns


def test_an_evaluation_of_another_model_is_refused(results):
    with pytest.raises(DataError, match="evaluate the same model"):
        with_quality(results, evaluated(results.rows[0], "another"))
