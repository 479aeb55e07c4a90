"""What a model is there for is measured, whatever that is."""

import json

import pytest

from tests.families import lively_model


@pytest.mark.parametrize("family", ["cgan", "pix2pix", "cyclegan"])
def test_every_kind_of_model_is_measured(family, command, tmp_path):
    model = lively_model(family, tmp_path / "model")
    result = command(
        *("bench", "--model", model, "--out", "found", "--budget", "1"),
        *("--backends", "onnx", "--precisions", "fp32", "--batch-sizes", "2"),
    )
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "found" / "results.json").read_text())["rows"]
    assert {row["backend"] for row in rows} == {"eager", "onnx"}
