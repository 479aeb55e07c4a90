"""What is a difference between two runs and what is noise, on synthetic and recorded samples."""

import dataclasses
import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from stargan_deploy.benchmarking.compare import compare, ratio_interval
from stargan_deploy.benchmarking.results import Results, load_results, save_results
from stargan_deploy.cli.bench.compare import parse_share
from stargan_deploy.errors import UsageError

NUM_TRIES = 40
NUM_WRONG = NUM_TRIES // 20
"""At most one in twenty."""

RECORDED = Path(__file__).parent.parent / "fixtures" / "recorded_latencies.json"


def draw(seed, *, scale=1.0, num=200, sigma=0.06, likeness=0.6, outliers=0.02):
    """Latencies as machines make them: lognormal, like the one before, some far too long."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=num)
    for place in range(1, num):
        noise[place] = likeness * noise[place - 1] + (1 - likeness**2) ** 0.5 * noise[place]
    tail = np.where(random.random(num) < outliers, random.uniform(1.5, 5, num), 1)
    return scale * 20 * np.exp(sigma * noise) * tail


KINDS = {
    "quiet": {"sigma": 0.03, "likeness": 0.3},
    "usual": {},
    "few": {"num": 60},
    "wandering": {"num": 800, "sigma": 0.1, "likeness": 0.9},
    "many outliers": {"outliers": 0.2},
}


def with_samples(results, samples, path="host to host"):
    """A run of one row and one path that has these samples."""
    row = results.rows[0]
    timing = dataclasses.replace(
        row.timing(path), samples_ms=tuple(map(float, samples)), stopped_by="stable"
    )
    rows = (dataclasses.replace(row, timings=(timing,)),)
    return dataclasses.replace(results, rows=rows, training=())


@pytest.fixture
def judge(results):
    """The comparison of the only row of two runs with some samples."""

    def judge(a, b, fail_over=0.05):
        (row,) = compare(with_samples(results, a), with_samples(results, b), fail_over).rows
        return row

    return judge


def verdicts(judge, scale, kind):
    pairs = ((draw(2 * n, **kind), draw(2 * n + 1, scale=scale, **kind)) for n in range(NUM_TRIES))
    return [judge(a, b).verdict for a, b in pairs]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_two_draws_of_one_distribution_are_no_regression(judge, kind):
    found = verdicts(judge, 1.0, kind)
    assert found.count("regression") <= NUM_WRONG
    assert found.count("noise") >= NUM_TRIES - NUM_WRONG


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_drift_of_three_percent_is_noise(judge, kind):
    found = verdicts(judge, 1.03, kind)
    assert found.count("regression") <= NUM_WRONG
    assert found.count("noise") >= NUM_TRIES - NUM_WRONG


@pytest.mark.parametrize("kind", ["quiet", "usual", "few", "many outliers"])
def test_a_fifth_slower_is_a_regression(judge, kind):
    assert verdicts(judge, 1.2, KINDS[kind]).count("regression") >= NUM_TRIES - NUM_WRONG


def test_a_fifth_faster_is_faster(judge):
    assert verdicts(judge, 0.8, KINDS["usual"]).count("faster") >= NUM_TRIES - NUM_WRONG


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def test_recorded_runs_of_the_same_are_noise(judge, recorded):
    found = [judge(a, b).verdict for a, b in permutations(recorded["plain"], 2)]
    assert found.count("noise") == len(found) == 90


@pytest.mark.parametrize(
    ("delay", "verdict"), [("three percent", "noise"), ("twenty percent", "regression")]
)
def test_recorded_delays(judge, recorded, delay, verdict):
    found = [judge(a, b).verdict for a, b in product(recorded["plain"], recorded[delay])]
    assert found.count(verdict) == len(found) == 50


@pytest.mark.parametrize("kind", ["quiet", "usual", "many outliers"])
def test_the_interval_holds_the_truth_as_often_as_it_says(kind):
    inside = 0
    for number in range(100):
        a, b = (draw(2 * number + i, scale=(1, 1.1)[i], **KINDS[kind]) for i in range(2))
        low, high = ratio_interval(a, b)
        inside += low <= 1.1 <= high
    assert inside >= 90


def test_more_samples_make_the_interval_narrower():
    few, many = (ratio_interval(draw(1, num=n), draw(2, num=n)) for n in (60, 1200))
    assert many[1] - many[0] < few[1] - few[0]


def test_likeness_of_neighbours_makes_the_interval_wider():
    """As a bootstrap of single samples would not notice."""

    def mean_width(likeness):
        pairs = [[draw(2 * n + i, likeness=likeness) for i in range(2)] for n in range(20)]
        return np.mean([high - low for low, high in (ratio_interval(a, b) for a, b in pairs)])

    assert mean_width(0.9) > 1.8 * mean_width(0.0)


def test_the_allowed_share_decides_between_slower_and_regression(judge):
    a, b = draw(1, **KINDS["quiet"]), draw(2, scale=1.2, **KINDS["quiet"])
    assert judge(a, b, 0.05).verdict == "regression"
    assert judge(a, b, 0.3).verdict == "slower"


def test_what_a_run_differs_from_itself_is_noise(judge):
    steady, slower = draw(1), draw(2, scale=1.12)
    restless = draw(1) * np.repeat([1.0, 1.15, 1.0], [66, 68, 66])
    assert judge(steady, slower).verdict in ("slower", "regression")
    row = judge(restless, slower)
    assert row.verdict == "noise"
    assert row.noise > 0.1


def test_the_same_files_give_the_same_figures(judge):
    assert judge(draw(1), draw(2)) == judge(draw(1), draw(2))
    same = judge(draw(1), draw(1))
    assert (same.ratio, same.verdict) == (1, "noise")


def test_too_few_samples_say_nothing(judge):
    row = judge([10.0] * 5, [20.0] * 5)
    assert (row.verdict, row.low, row.high) == ("too few samples", None, None)
    assert row.ratio == 2
    assert judge([10.0] * 6, [20.0] * 6).verdict == "regression"


@pytest.mark.parametrize("broken", [[], [float("nan")] * 9, [1.0] * 9 + [float("inf")], [0.0] * 9])
def test_samples_that_are_no_times_are_left_out(results, broken):
    good, bad = with_samples(results, draw(1)), with_samples(results, broken)
    found = compare(good, bad)
    assert found.rows == ()
    assert len(found.only_in_a) == 1


def test_rows_meet_by_what_they_measure(results, build_results):
    found = compare(results, build_results(batch_sizes=(8, 32)))
    assert found.comparable
    calls = [row for row in found.rows if row.path != "training step"]
    assert all("batch 8, 128x128" in row.name for row in calls)
    assert all("batch 1, " in name for name in found.only_in_a)
    assert all("batch 32, " in name for name in found.only_in_b)
    paths = {row.path for row in found.rows}
    assert paths == {"device only", "host to host", "end to end", "training step"}


def test_rows_of_different_entry_points_do_not_meet(two_way_results, build_results):
    found = compare(two_way_results, build_results(entry_points=("b2a",)))
    calls = [row for row in found.rows if row.path != "training step"]
    assert calls
    assert all(row.ratio == pytest.approx(1, abs=0.05) for row in calls)
    assert all(" cpu, b2a, batch " in row.name for row in calls)
    assert all(" cpu, a2b, batch " in name for name in found.only_in_a)
    assert len(found.only_in_a) == len(calls)
    assert found.only_in_b == ()


def test_a_file_that_names_no_entry_point_is_of_the_usual_one(results, tmp_path):
    mapping = json.loads(results.to_json())
    for row in mapping["rows"]:
        del row["entry_point"]
    (tmp_path / "results.json").write_text(json.dumps(mapping))
    old = load_results(tmp_path)
    assert old == results
    assert compare(old, results).only_in_a == ()


def test_a_device_number_keeps_no_rows_apart(results):
    rows = tuple(dataclasses.replace(row, device="cpu:1") for row in results.rows)
    found = compare(results, dataclasses.replace(results, rows=rows))
    assert found.only_in_a == ()


def test_trainings_are_compared(results):
    steps = dataclasses.replace(results.training[1], samples_ms=tuple(draw(1, num=40)))
    slower = dataclasses.replace(steps, samples_ms=tuple(draw(2, num=40, scale=1.3)))
    a = dataclasses.replace(results, rows=(), training=(steps,))
    (row,) = compare(a, dataclasses.replace(a, training=(slower,))).rows
    assert (row.path, row.verdict) == ("training step", "regression")
    assert row.name == "fp32 (float32) cpu, batch 16, 64x64"


def test_different_machines_are_told_loudly(results, cuda_results):
    machine = dataclasses.replace(results.machine, cpu="Example EPYC", num_threads=8)
    found = compare(results, dataclasses.replace(results, machine=machine))
    assert not found.comparable
    assert found.remarks[0].startswith("DIFFERENT MACHINES")
    assert "cpu Example Xeon 8481C @ 2.70GHz / Example EPYC" in found.remarks[0]
    assert "number of threads 2 / 8" in found.remarks[0]
    assert not compare(results, cuda_results).comparable


def test_other_models_versions_and_throttling_are_remarked(results, cuda_results):
    versions = {"torch": "2.16.0", "openvino": "2026.4", "stargan-deploy": "0.1.0"}
    machine = dataclasses.replace(results.machine, versions=versions)
    other = dataclasses.replace(results, machine=machine, model_sha256="ff", model="x.onnx")
    models, changed = compare(results, other).remarks
    assert models == "the models differ: faces128.safetensors / x.onnx"
    assert changed == (
        "versions differ: onnxruntime 1.31.0 / none, openvino none / 2026.4, torch 2.15.0 / 2.16.0"
    )
    assert "the GPU was throttled in A: power cap, heat" in compare(cuda_results, results).remarks


def test_what_changed_in_a_row_is_noted(results):
    row = dataclasses.replace(
        results.rows[0],
        precision="bfloat16",
        verified=False,
        timings=tuple(
            dataclasses.replace(t, stopped_by="time limit") for t in results.rows[0].timings
        ),
    )
    other = dataclasses.replace(results, rows=(row,))
    notes = compare(results, other).rows[0].notes
    assert notes[0] == "computes in bfloat16, before in float32"
    assert notes[1] == "no longer proven equal to PyTorch"
    assert notes[2].startswith("not stable in ")
    assert notes[2].endswith("B")


def scaled(results, factor):
    """The same run on a machine that is slower by a factor."""

    def times(samples):
        return tuple(factor * ms for ms in samples)

    rows = tuple(
        dataclasses.replace(
            row,
            timings=tuple(
                dataclasses.replace(t, samples_ms=times(t.samples_ms)) for t in row.timings
            ),
        )
        for row in results.rows
    )
    training = tuple(
        dataclasses.replace(row, samples_ms=times(row.samples_ms)) for row in results.training
    )
    return dataclasses.replace(results, rows=rows, training=training)


def test_a_change_of_everything_points_to_the_machine(results):
    assert compare(results, scaled(results, 1.0)).remarks == ()
    (remark,) = compare(results, scaled(results, 1.2)).remarks
    assert remark.startswith("everything is slower: look at the machine first")
    (remark,) = compare(results, scaled(results, 0.8)).remarks
    assert remark.startswith("everything is faster")
    half = dataclasses.replace(scaled(results, 1.2), training=results.training)
    assert compare(results, half).remarks == ()


def test_a_machine_that_lost_its_speed_is_remarked(results):
    def with_roofs(factor):
        roofs = (
            dataclasses.replace(r, gemm_gmacs_per_s=factor * r.gemm_gmacs_per_s)
            for r in results.roofs[:1]
        )
        return dataclasses.replace(results, roofs=tuple(roofs))

    assert compare(results, with_roofs(0.95)).remarks == ()
    assert compare(results, with_roofs(0.8)).remarks == (
        "the machine itself was slower in B: matrix products in float32 at 80% of their speed in A",
    )
    (remark,) = compare(results, with_roofs(1.3)).remarks
    assert "faster in B" in remark
    compare(with_roofs(0.0), results)
    compare(results, with_roofs(0.0))


@pytest.fixture
def bench_compare(command, monkeypatch, tmp_path):
    """Runs the command on two runs, which are given as they are or as paths."""
    monkeypatch.setenv("COLUMNS", "140")

    def run(a, b, *words):
        paths = []
        for name, given in (("a.json", a), ("b.json", b)):
            paths.append(given)
            if isinstance(given, Results):
                paths[-1] = tmp_path / name
                save_results(given, paths[-1])
        return command("bench", "compare", *paths, *words)

    return run


def test_the_command_says_noise_and_leaves_with_0(bench_compare, results):
    result = bench_compare(with_samples(results, draw(1)), with_samples(results, draw(2)))
    assert (result.code, result.err) == (0, "")
    assert "eager fp32 cpu, batch 1, 128x128" in result.out
    assert "noise (up to 5%)" in result.out
    assert "1 compared: 1 noise (a regression is more than 5% slower" in result.out


def test_the_command_leaves_with_1_on_a_regression(bench_compare, results):
    a, b = with_samples(results, draw(1)), with_samples(results, draw(2, scale=1.2))
    result = bench_compare(a, b)
    assert (result.code, result.err) == (1, "")
    assert "regression" in result.out
    assert bench_compare(a, b, "--fail-over", "40%").code == 0
    assert bench_compare(b, a).code == 0


def test_the_commands_json_is_whole(bench_compare, results):
    a, b = with_samples(results, draw(1)), with_samples(results, draw(2, scale=1.2))
    result = bench_compare(a, b, "--fail-over", "0.1", "--json")
    assert result.code == 1
    found = json.loads(result.out)
    assert found["fail_over"] == 0.1
    (row,) = found["rows"]
    assert row["verdict"] == "regression"
    assert 1.1 < row["low"] < row["ratio"] < row["high"]


def test_the_command_takes_folders(bench_compare, results, tmp_path):
    for name in ("one", "two"):
        save_results(with_samples(results, draw(1)), tmp_path / name / "results.json")
    assert bench_compare(tmp_path / "one", tmp_path / "two").code == 0


def test_the_command_shouts_at_different_machines(bench_compare, results):
    machine = dataclasses.replace(results.machine, cpu="Example EPYC")
    result = bench_compare(results, dataclasses.replace(results, machine=machine))
    assert result.out.startswith("DIFFERENT MACHINES: ")


def test_runs_without_a_common_row_are_an_error(bench_compare, results, cuda_results):
    result = bench_compare(dataclasses.replace(results, training=()), cuda_results)
    assert result.code == 3
    assert "no row in common" in result.err
    assert "only in A: eager fp32 cpu, batch 1, 128x128, device only" in result.out
    assert "only in B: " in result.out


def test_control_characters_of_a_file_do_not_reach_the_terminal(bench_compare, results):
    evil = dataclasses.replace(results.rows[0], backend="\x1b[2Jonnx [bold]")
    evil_run = dataclasses.replace(results, rows=(evil,), training=())
    result = bench_compare(evil_run, evil_run)
    assert result.code == 0
    assert "\x1b[2J" not in result.out
    assert "onnx [bold]" in result.out


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("12.5%", 0.125), ("150%", 1.5), ("0", 0)]
)
def test_shares(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text",
    ["5", "1", "", "%", "-5%", "nan", "inf", "5 %", "0,05", "1e-2", "5%%", "\u0665%", "five"],
)
def test_shares_that_make_no_sense(text):
    with pytest.raises(UsageError, match=r"--fail-over takes a share like 5% or 0\.05, not"):
        parse_share(text)


def test_a_bad_share_is_one_line(bench_compare, results):
    result = bench_compare(results, results, "--fail-over", "5")
    assert result.code == 2
    assert result.err == ("stargan-deploy: --fail-over takes a share like 5% or 0.05, not '5'\n")


def test_a_file_that_is_missing_or_broken_is_one_line(bench_compare, results, tmp_path):
    assert bench_compare(results, tmp_path / "none.json").code == 3
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema_version": 1')
    result = bench_compare(broken, results)
    assert result.code == 3
    assert len(result.err.splitlines()) == 1
    assert str(broken) in result.err
