"""The batch benchmark on a tiny network and few photos."""

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from stargan_deploy.backends import registry
from stargan_deploy.batch.plan import BatchJob
from stargan_deploy.benchmarking.baselines.batch import BatchBaseline
from stargan_deploy.benchmarking.measure.rounds import Speed
from stargan_deploy.benchmarking.report.page import write_report
from stargan_deploy.benchmarking.report.tables import write_markdown
from stargan_deploy.benchmarking.results import load_results, save_results
from stargan_deploy.benchmarking.suite.batch_setups import BatchSetup, open_setup
from stargan_deploy.benchmarking.suite.batch_speed import BatchSpeedConfig, measure_batch
from stargan_deploy.benchmarking.suite.config import SuiteConfig
from stargan_deploy.benchmarking.suite.suite import run_suite
from stargan_deploy.benchmarking.suite.synthetic_photos import write_synthetic_photos
from stargan_deploy.config import from_mapping, read_toml
from stargan_deploy.devices import CPU
from stargan_deploy.errors import ConfigError, DataError
from stargan_deploy.families.checkpoint import build_model, load_checkpoint
from stargan_deploy.files.images import load_image
from stargan_deploy.inference.find import read_model
from stargan_deploy.inference.targets import name_targets

RECIPE = Path(__file__).parents[3] / "benchmarks" / "batch.toml"

EVERYTHING = "Blond_Hair,-Male,-Young"
"""A target that leaves nothing to what a photo shows."""

SETTINGS = {"num_photos": 5, "photo_sides": [20, 48], "batch_size": 2, "num_rounds": 2}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def settings(**sides) -> dict:
    return {**SETTINGS, "sides": sides}


@pytest.fixture(scope="module")
def found(checkpoint: Path, cache) -> Speed:
    tables = settings(
        eager={"backend": "eager"},
        onnx={"backend": "onnx"},
        half={"backend": "openvino", "precision": "fp16"},
    )
    return measure_batch(from_mapping(BatchSpeedConfig, tables), read_model(checkpoint), device=CPU)


def test_every_setup_is_measured_in_every_round(found):
    assert [(row.name, row.backend) for row in found.rows] == [
        ("baseline", "eager"),
        ("eager", "eager"),
        ("onnx", "onnx"),
    ]
    for row in found.rows:
        assert len(row.samples_ms) == 2
        assert row.images_per_s == pytest.approx(1000 / statistics.median(row.samples_ms))
        assert (row.num_photos, row.batch_size, row.image_size) == (5, 2, 32)


def test_speeds_are_ratios_within_a_round(found):
    baseline, _, onnx = found.rows
    for other, reported in (
        (baseline.samples_ms, onnx.speedup),
        (onnx.prepared_samples_ms, onnx.prepared_share),
        (onnx.generator_samples_ms, onnx.generator_share),
    ):
        ratios = [theirs / own for theirs, own in zip(other, onnx.samples_ms, strict=True)]
        assert reported == pytest.approx(statistics.median(ratios))
    assert (baseline.speedup, baseline.prepared_share) == (1.0, None)


def test_images_and_start_up_are_reported(found):
    _, eager, onnx = found.rows
    assert eager.picture_error.max_difference <= 1
    assert onnx.picture_error.psnr_db > 60
    assert onnx.start_up.build_s > 0
    assert onnx.start_up.load_s > 0
    assert eager.start_up.build_s is None


def test_what_does_not_run_here_is_listed_with_the_reason(found):
    (missing,) = found.unusable
    assert missing.name == "batch half"
    assert "fp16" in missing.reason


def test_the_baseline_makes_the_same_images_as_the_batch_job(checkpoint, tmp_path):
    photos = write_synthetic_photos(tmp_path / "photos", 5, (20, 48))
    content = load_checkpoint(checkpoint)
    space = content.card.labels
    targets = name_targets(space, [EVERYTHING])
    baseline = BatchBaseline(
        build_model(content)["generator"],
        space.target_vector(targets[0].target, np.zeros(space.num_labels, np.float32)),
        preprocessing=content.card.preprocessing,
        batch_size=2,
        device=torch.device("cpu"),
    )
    (tmp_path / "baseline").mkdir()
    baseline.work(photos, tmp_path / "baseline")
    job = BatchJob(input=tmp_path / "photos", output=tmp_path / "unused", targets=targets)
    setup = BatchSetup(backend="eager")
    with open_setup(setup, read_model(checkpoint), job, device=CPU, batch_size=2) as opened:
        opened.end_to_end(tmp_path / "ours")
    for photo in photos:
        images = [
            np.asarray(load_image(tmp_path / name / photo.name)) for name in ("baseline", "ours")
        ]
        assert np.abs(images[0].astype(int) - images[1]).max() <= 4  # one level, and JPEG


def test_a_photo_that_fails_is_not_measured(checkpoint, tmp_path):
    write_synthetic_photos(tmp_path / "photos", 2, (20, 48))[0].write_bytes(b"no picture")
    targets = name_targets(load_checkpoint(checkpoint).card.labels, ["Male"])
    job = BatchJob(input=tmp_path / "photos", output=tmp_path / "unused", targets=targets)
    with (
        open_setup(
            BatchSetup(backend="eager"), read_model(checkpoint), job, device=CPU, batch_size=2
        ) as setup,
        pytest.raises(DataError, match="a photo of the benchmark failed"),
    ):
        setup.end_to_end(tmp_path / "out")


def test_without_a_backend_the_setup_is_what_the_batch_command_takes_by_itself(
    checkpoint, monkeypatch
):
    monkeypatch.setattr(registry, "recommended", lambda kind: [("onnx", "fp32")])
    job = BatchJob(
        input=Path("unused"),
        output=Path("unused"),
        targets=name_targets(load_checkpoint(checkpoint).card.labels, ["Male"]),
    )
    with open_setup(BatchSetup(), read_model(checkpoint), job, device=CPU, batch_size=2) as opened:
        assert opened.session.translator.runtime.backend in ("onnx", "eager")  # the faster one


def test_synthetic_photos_vary_and_are_the_same_every_time(tmp_path):
    first = write_synthetic_photos(tmp_path / "first", 12, (64, 96))
    second = write_synthetic_photos(tmp_path / "second", 12, (64, 96))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    shapes = [load_image(path).size for path in first]
    assert all(64 <= side <= 96 for shape in shapes for side in shape)
    assert len(set(shapes)) > 6


def test_the_suite_measures_the_batch_job_and_shows_it(checkpoint, tmp_path):
    config = SuiteConfig(inference=False, batch=settings(mine={"backend": "eager"}))
    results = run_suite(config, read_model(checkpoint), device=CPU)
    assert [row.name for row in results.batch] == ["baseline", "mine"]
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path) == results
    write_markdown(results, tmp_path / "report.md")
    write_report(results, tmp_path / "report.html")
    for name in ("report.md", "report.html"):
        assert "Batch job, JPEG files to JPEG files" in (tmp_path / name).read_text()


def test_the_command_shows_the_batch_job(command, checkpoint, tmp_path):
    sides = "[batch.sides.mine]\nbackend = 'eager'\n"
    table = "num_photos = 3\nphoto_sides = [20, 40]\nbatch_size = 2\nnum_rounds = 1\n"
    (tmp_path / "few.toml").write_text(f"inference = false\n[batch]\n{table}{sides}")
    result = command("bench", "few.toml", "--model", checkpoint, "--device", "cpu")
    assert result.code == 0, result.err
    assert "baseline" in result.out
    assert "nothing was measured" not in result.out


def test_the_recipe_fits():
    tables = from_mapping(SuiteConfig, read_toml(RECIPE))
    config = from_mapping(BatchSpeedConfig, tables.batch)
    assert (config.num_photos, config.batch_size, config.photo_sides) == (500, 16, (128, 256))
    assert config.sides == {
        "default": BatchSetup(),
        "int8": BatchSetup(backend="openvino", precision="int8"),
    }


@pytest.mark.parametrize(
    ("tables", "combaselinet"),
    [
        ({"sides": {}}, "sides must name something"),
        ({"sides": {"baseline": {}}}, "sides must name something"),
        ({"sides": {"a": {"backend": "onxx"}}}, "backend must be auto or one of eager"),
        ({"sides": {"a": {"precision": "int8"}}}, "precision goes with a backend"),
        ({"sides": {"a": {}}, "num_photos": 0}, "num_photos must be at least 1"),
        ({"sides": {"a": {}}, "photo_sides": [9, 8]}, "photo_sides must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tables, combaselinet):
    with pytest.raises(ConfigError, match=combaselinet):
        from_mapping(BatchSpeedConfig, tables)
