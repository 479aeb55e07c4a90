from dataclasses import replace

import numpy as np
import pytest

from stargan_deploy.errors import DataError
from stargan_deploy.evaluation.compare import compare
from stargan_deploy.evaluation.results import (
    EvaluatedPhoto,
    JudgeFacts,
    ModelFigures,
    Results,
    load_results,
    save_results,
)
from stargan_deploy.evaluation.summary import raw_values

TARGETS = ("Male", "Young")


def model(values, name="a.onnx"):
    return ModelFigures(
        name=name,
        sha256="",
        file_sha256="",
        checkpoint_sha256="",
        backend="onnx",
        device="cpu",
        precision="fp32",
        weights="ema",
        step=1,
        entry_point="translate",
        image_size=64,
        num_images=2,
        seconds=1.0,
        values=raw_values(values),
    )


def results(values, *, first=0, **changes):
    num = next(iter(values.values())).shape[1]
    photos = tuple(
        EvaluatedPhoto(name=f"{n}.jpg", sha256=f"{n}") for n in range(first, first + num)
    )
    return Results(
        created="2026-11-28T00:00:00",
        version="0",
        data="faces",
        seed=0,
        confidence=0.95,
        targets=TARGETS,
        photos=photos,
        models=(model(values),),
        **changes,
    )


def right(share, *, seed=0, num=400):
    """Answers of which a share is right, the same photos easy for any seed."""
    random = np.random.default_rng(9).random((2, num)) + np.random.default_rng(seed).normal(
        0, 1e-3, (2, num)
    )
    return {"judge.accuracy": (random < share).astype(np.float32)}


def test_a_clear_loss_is_a_regression_and_a_small_one_is_not():
    found = compare(results(right(0.9)), results(right(0.8, seed=1)), fail_over=0.005)
    (whole,) = found.regressions
    assert whole.measure == "judge.accuracy"
    assert whole.verdict == "worse"
    assert -0.13 < whole.low < whole.value < whole.high < -0.07
    assert not compare(results(right(0.9)), results(right(0.8, seed=1)), fail_over=0.2).regressions
    better = compare(results(right(0.8)), results(right(0.9)))
    assert not better.regressions
    assert {each.verdict for each in better.differences} == {"better"}


def test_within_the_noise_nothing_fails():
    found = compare(results(right(0.9)), results(right(0.9, seed=5)), fail_over=0.0)
    assert {each.verdict for each in found.differences} == {"noise"}
    assert not found.regressions


def test_levels_are_compared_and_never_fail():
    low, high = ({"reconstruction": np.full((2, 9), x) + np.arange(9)} for x in (5.0, 8.0))
    found = compare(results(low), results(high))
    assert found.differences[0].verdict == "worse"
    assert found.differences[0].value == pytest.approx(3)
    assert not found.regressions


def test_only_common_photos_count():
    a, b = results(right(0.9)), results(right(0.9), first=300)
    found = compare(a, b)
    assert found.num_photos == 100
    assert "100 photos that both have" in found.remarks[0]
    with pytest.raises(DataError, match="no photo in common"):
        compare(a, results(right(0.9), first=1000))


def test_other_judges_are_remarked():
    a, b = results(right(0.9)), results(right(0.9))
    b = replace(b, judge=JudgeFacts(name="j", sha256="x", labels=()))
    assert any("judges differ" in remark for remark in compare(a, b).remarks)


def test_models_are_matched_by_name():
    a, b = results(right(0.9)), results(right(0.8))
    two = replace(b, models=(model(right(0.9), "other"), model(right(0.7), "a.onnx")))
    assert {each.model for each in compare(a, two).differences} == {"a.onnx"}
    with pytest.raises(DataError, match="no model is in both"):
        compare(a, replace(two, models=(model(right(0.9), "x"), model(right(0.9), "y"))))


def test_results_survive_their_file(tmp_path):
    values = right(0.9, num=3) | {"change": np.array([[1.5, np.nan, 2], [3, 4, np.nan]])}
    kept = results(values)
    save_results(kept, tmp_path / "results.json")
    assert load_results(tmp_path) == kept
    assert "NaN" not in (tmp_path / "results.json").read_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not a whole results.json"),
        ("[]", "schema version None"),
        ('{"schema_version": 9}', "schema version 9"),
        ('{"schema_version": 1, "targetz": []}', "does not fit the schema of evaluation"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, text, complaint):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=complaint):
        load_results(tmp_path / "results.json")
    with pytest.raises(DataError, match="cannot read evaluation"):
        load_results(tmp_path / "nothing.json")
