from pathlib import Path

import pytest

from stargan_deploy.benchmarking.results import Results, load_results, save_results
from stargan_deploy.benchmarking.suite.candidates import list_entries
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.benchmarking.suite.suite import run_suite
from stargan_deploy.devices import CPU
from stargan_deploy.errors import UsageError
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.inference.find import read_model


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Artefacts that are built on the way stay inside the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def quick(**changes) -> SuiteConfig:
    settings = {"batch_sizes": (1, 2), "budget_s": 1.0, "offline_s": 0.05, "server_s": 0.3}
    settings |= {"backends": ("eager", "onnx"), "precisions": ("fp32",), "roofline": False}
    return SuiteConfig(**{**settings, "memory": "none", **changes})


@pytest.fixture(scope="module")
def results(checkpoint: Path, cache) -> Results:
    config = quick(server=True, backends=("eager", "onnx", "trt"), precisions=("fp32", "fp16"))
    return run_suite(config, read_model(checkpoint), device=CPU)


def row_of(results, backend, precision, batch_size):
    (row,) = (
        row
        for row in results.rows
        if (row.backend, row.asked_precision, row.batch_size) == (backend, precision, batch_size)
    )
    return row


def test_every_backend_is_measured_at_every_batch_on_every_path(results):
    names = [(row.backend, row.asked_precision, row.batch_size) for row in results.rows]
    assert names == [
        ("eager", "fp32", 1),
        ("onnx", "fp32", 1),
        ("onnx", "fp16", 1),
        ("eager", "fp32", 2),
        ("onnx", "fp32", 2),
        ("onnx", "fp16", 2),
    ]
    for row in results.rows:
        assert {timing.path for timing in row.timings} == {
            "device only",
            "host to host",
            "end to end",
        }
        assert all(timing.statistics.num == len(timing.samples_ms) for timing in row.timings)
        assert row.verified
        assert row.artefact_bytes


def test_what_is_measured_is_what_ran_and_not_what_was_asked_for(results):
    assert row_of(results, "onnx", "fp16", 1).precision == "float16"
    assert row_of(results, "eager", "fp32", 1).precision == "float32"
    assert {row.device for row in results.rows} == {"cpu"}


def test_speed_and_pictures_are_compared_with_eager(results):
    eager = row_of(results, "eager", "fp32", 2)
    assert (eager.speedup, eager.picture_error.max_difference) == (1.0, 0.0)
    other = row_of(results, "onnx", "fp16", 2)
    medians = [row.timing("host to host").statistics.p50_ms for row in (eager, other)]
    assert other.speedup == pytest.approx(medians[0] / medians[1])
    assert 0 < other.picture_error.mean_difference < 0.5 or other.picture_error.psnr_db == 100


@pytest.mark.slow
def test_start_up_is_split_and_the_cache_is_told_from_a_build(results, checkpoint):
    first = row_of(results, "onnx", "fp32", 1).start_up
    assert first.build_s > 0
    assert first.load_s > 0
    assert first.first_call_s > 0
    again = run_suite(quick(), read_model(checkpoint), device=CPU)
    assert row_of(again, "onnx", "fp32", 1).start_up.build_s is None


def test_scenarios_stand_at_the_greatest_batch_and_at_single_images(results):
    assert row_of(results, "onnx", "fp32", 2).offline.images_per_s > 0
    assert row_of(results, "onnx", "fp32", 1).offline is None
    assert row_of(results, "onnx", "fp32", 1).server.latency_bound_ms == 250


def test_what_is_not_usable_is_listed_with_the_reason(results):
    reasons = {entry.name: entry.reason for entry in results.unusable}
    assert reasons["trt"] == "does not compute on cpu"
    assert set(reasons) == {"trt"}


def test_results_survive_their_file(results, tmp_path):
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path) == results


def test_an_artefact_is_measured_against_its_checkpoint(checkpoint, tmp_path):
    options = ExportOptions(precision="fp16", device="cpu")
    path = export(checkpoint, out=tmp_path / "tiny.onnx", options=options).files[0]
    models = {"model": read_model(path), "checkpoint": read_model(checkpoint)}
    found = run_suite(quick(batch_sizes=(1,)), **models, device=CPU)
    assert [(row.backend, row.asked_precision) for row in found.rows] == [
        ("eager", "fp32"),
        ("onnx", "fp16"),
    ]
    assert found.model == "tiny.onnx"


def test_other_sizes_are_measured(checkpoint):
    config = quick(batch_sizes=(1,), sizes=(24, 40), paths=("host to host",))
    found = run_suite(config, read_model(checkpoint), device=CPU)
    assert {row.height for row in found.rows} == {24, 40}


@pytest.mark.slow
def test_memory_and_roof_are_measured(checkpoint):
    config = quick(batch_sizes=(2,), memory="largest", roofline=True, paths=("host to host",))
    found = run_suite(config, read_model(checkpoint), device=CPU)
    for row in found.rows:
        assert row.peak_host_bytes > 1e7
        assert row.roofline.counted_gmacs > 0
        assert 0 < row.roofline.share <= 1 or row.roofline.note


def test_building_ends_with_its_budget(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = quick(build_budget_s=1e-9, batch_sizes=(1,), paths=("host to host",))
    found = run_suite(config, read_model(checkpoint), device=CPU)
    assert [row.backend for row in found.rows] == ["eager"]
    assert "no time left" in found.unusable[0].reason


def test_eager_is_always_there_and_first():
    entries, _ = list_entries(CPU, ("onnx",), ("int8",))
    assert [entry.name for entry in entries] == ["eager fp32", "onnx int8"]


@pytest.mark.parametrize(
    ("backends", "precisions", "complaint"),
    [
        (("onxx",), (), "unknown backend 'onxx'; did you mean 'onnx'"),
        ((), ("fp23",), "unknown precision 'fp23'; did you mean 'fp32'"),
    ],
)
def test_unknown_names_are_refused(backends, precisions, complaint):
    with pytest.raises(UsageError, match=complaint):
        list_entries(CPU, backends, precisions)
