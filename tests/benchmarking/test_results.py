"""Results that other versions wrote are read."""

from pathlib import Path

import pytest

from stargan_deploy.benchmarking.results import load_results, save_results

STORED = sorted((Path(__file__).parents[2] / "benchmarks" / "results").rglob("results.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_stored_results_are_read_and_survive_another_file(path, tmp_path):
    results = load_results(path)
    assert results.rows or results.batch
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path) == results


@pytest.mark.parametrize("name", ["plain loop", "plain"])
def test_the_baseline_of_older_files_has_todays_name(results, tmp_path, name):
    save_results(results, tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text()
    (tmp_path / "results.json").write_text(text.replace('"baseline"', f'"{name}"'))
    read = load_results(tmp_path)
    assert read.training[0].name == read.batch[0].name == "baseline"
    assert read == results
