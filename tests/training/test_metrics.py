import json
import math

import numpy as np
import pytest

from stargan_deploy.training.metrics import Curve, evenly, read_metrics


def write(tmp_path, *lines):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def curve(values):
    return Curve(steps=np.arange(len(values), dtype=float), values=np.array(values, dtype=float))


def test_metrics_come_back_as_curves(tmp_path):
    path = write(
        tmp_path,
        {"step": 10, "d_real": -1.0},
        {"step": 10, "eval/accuracy_mean": 0.5},
        {"step": 20, "d_real": -2.0, "g_rec": 0.25},
    )
    curves = read_metrics(path)
    assert curves["d_real"].steps.tolist() == [10, 20]
    assert curves["d_real"].values.tolist() == [-1, -2]
    assert curves["g_rec"].steps.tolist() == [20]
    assert curves["eval/accuracy_mean"].latest == 0.5
    assert "step" not in curves


def test_what_cannot_be_read_is_passed_over(tmp_path):
    odd = ['{"step": 3, "a"', "", "[1, 2]", '{"a": 1}', '{"step": "4", "a": 1}', "[" * 100_000]
    path = write(tmp_path, {"step": 1, "a": 1}, *odd, {"step": 2, "a": True, "b": "x", "c": [1]})
    assert {name: c.values.tolist() for name, c in read_metrics(path).items()} == {"a": [1]}
    assert read_metrics(tmp_path / "missing.jsonl") == {}


def test_lines_in_disorder_are_sorted_and_the_later_of_two_holds(tmp_path):
    path = write(tmp_path, {"step": 20, "a": 2}, {"step": 10, "a": 1}, {"step": 20, "a": 3})
    assert read_metrics(path)["a"].values.tolist() == [1, 3]


def test_values_that_are_not_finite_leave_a_gap(tmp_path):
    path = write(tmp_path, '{"step": 1, "a": 1}', '{"step": 2, "a": NaN}', '{"step": 3, "a": 1e99}')
    values = read_metrics(path)["a"].values
    assert values[0] == 1
    assert np.isnan(values[1:]).all()
    assert read_metrics(path)["a"].latest == 1


def test_of_a_long_file_all_evaluations_and_a_spread_of_the_rest_are_read(tmp_path):
    lines = [{"step": step, "a": step} for step in range(1000)]
    lines[333] = {"step": 333, "eval/b": 1.0}
    curves = read_metrics(write(tmp_path, *lines), max_lines=50)
    assert len(curves["a"].steps) == 50
    assert (curves["a"].steps[0], curves["a"].steps[-1]) == (0, 999)
    assert curves["eval/b"].steps.tolist() == [333]


def test_thinning_keeps_the_ends_and_every_spike():
    values = np.sin(np.arange(10_000))
    values[[1234, 9876]] = 50, -50
    thin = curve(values).thinned(100)
    assert len(thin.steps) <= 100
    assert (thin.steps[0], thin.steps[-1]) == (0, 9999)
    assert {50, -50} <= set(thin.values)
    assert (np.diff(thin.steps) > 0).all()


def test_smoothing_is_the_mean_of_the_neighbourhood():
    smooth = curve([0, 3] * 500).smoothed(100)
    assert len(smooth.steps) == 100
    assert smooth.values[10:-10] == pytest.approx(1.5, abs=0.1)
    assert curve([2.0] * 30).smoothed(500).values == pytest.approx(2)


def test_smoothing_forgets_a_spike_and_passes_over_gaps():
    values = np.ones(1000)
    values[[10, 500]] = 1e29, math.nan
    smooth = curve(values).smoothed(500)
    assert smooth.values[-1] == smooth.values[250] == 1


@pytest.mark.parametrize("values", [[], [1], [math.nan, math.nan], [math.nan, 1, math.nan]])
def test_tiny_curves_are_no_special_case(values):
    for changed in (curve(values).thinned(500), curve(values).smoothed(500)):
        assert len(changed.steps) <= len(values)


def test_evenly_keeps_both_ends():
    assert evenly(range(100), 4) == [0, 33, 66, 99]
    assert evenly([1, 2], 4) == [1, 2]
