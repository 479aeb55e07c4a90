import json
from pathlib import Path

import pytest

from stargan_deploy.benchmarking.results import load_results

SMOKE = Path(__file__).parents[2] / "benchmarks" / "smoke.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.slow
def test_the_smoke_recipe_gives_table_page_and_files(command, checkpoint, tmp_path):
    result = command("bench", SMOKE, "--model", checkpoint)
    assert result.code == 0, result.err
    assert "eager" in result.out
    assert "onnx" in result.out
    (folder,) = (tmp_path / "bench-results").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "results.json",
        "results.csv",
        "report.md",
        "report.html",
    }
    results = load_results(folder)
    assert [row.batch_size for row in results.rows] == [1, 1, 2, 2]
    assert str(tmp_path) not in (folder / "results.json").read_text()


@pytest.mark.slow
def test_what_is_typed_goes_before_the_recipe(command, checkpoint, tmp_path):
    words = ("--batch-sizes", "3", "--budget", "0.5", "--backends", "eager", "--out", "found")
    result = command("bench", SMOKE, "--model", checkpoint, *words, "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert [(row["backend"], row["batch_size"]) for row in told["rows"]] == [("eager", 3)]
    assert load_results(tmp_path / "found").model == "tiny.safetensors"


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--backends", "onxx"), 2, "unknown backend 'onxx'; did you mean 'onnx'"),
        (("--precisions", "fp23"), 2, "unknown precision 'fp23'"),
        (("--batch-sizes", "1,x"), 2, "--batch-sizes takes whole numbers like"),
        (("--batch-sizes", "0"), 2, "batch_sizes must be at least 1"),
        (("--budget", "0"), 2, "budget_s must be above 0"),
        (
            ("--sizes", "30"),
            2,
            "no images of 30x30, but sides from 4 that are multiples of 4",
        ),
        (("--model", "gone.onnx"), 4, "no such model: gone.onnx"),
        (("--device", "gpu"), 2, "unknown device 'gpu'"),
        (("--out", "taken"), 2, "--out taken is a file"),
        (("gone.toml",), 2, "gone.toml"),
        (("bad.toml",), 2, "unknown"),
    ],
)
def test_bad_input_is_one_clear_line(command, checkpoint, tmp_path, words, code, complaint):
    (tmp_path / "taken").touch()
    (tmp_path / "bad.toml").write_text("batchsizes = [1]")
    model = () if "--model" in words else ("--model", checkpoint)
    result = command("bench", *words, *model)
    assert result.code == code, result.err
    assert complaint in result.err.splitlines()[-1]
    assert not (tmp_path / "bench-results").exists()


@pytest.mark.parametrize(("there", "left"), [((), ()), (("found",), ("found",))])
def test_a_folder_is_left_only_where_it_was_before(command, checkpoint, tmp_path, there, left):
    for folder in there:
        (tmp_path / folder).mkdir()
    words = ("--model", checkpoint, "--backends", "onxx", "--out", "found/one/two")
    assert command("bench", *words).code == 2
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == list(left)
