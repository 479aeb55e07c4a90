import itertools
import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from stargan_deploy.backends.onnx.file import attach_card
from stargan_deploy.backends.registry import read_card_of
from stargan_deploy.card.card import Verdict
from stargan_deploy.devices import CPU
from stargan_deploy.disturbance import Disturbance
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.export.proof.compare import describe
from stargan_deploy.inference import speed
from stargan_deploy.inference.choose import RuntimeRequest, resolve_runtime
from stargan_deploy.inference.fastest import proven_here
from stargan_deploy.inference.find import read_model
from tests.tiny_families import lively_model


def judged(artefacts, **options):
    return proven_here(map(read_model, artefacts), device=CPU, **options)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "stargan-deploy" / "speeds"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """What disturbs measurements, instead of this machine's real load."""
    state = {"disturbance": Disturbance()}

    @contextmanager
    def watch():
        yield SimpleNamespace(found=state["disturbance"])

    monkeypatch.setattr(speed, "watch_disturbance", watch)
    monkeypatch.setattr(speed, "sample_disturbance", lambda: state["disturbance"])
    return state


@pytest.fixture
def clock(monkeypatch):
    """Times of a call by backend, in seconds, instead of measured ones; counts the calls."""
    seconds = {"eager": 0.01, "onnx": 0.005, "calls": 0}

    def timed(runtime, batch, size):
        seconds["calls"] += 1
        found = seconds[runtime.backend]
        return next(found) if hasattr(found, "__next__") else found

    monkeypatch.setattr(speed, "_timed", timed)
    return seconds


@pytest.fixture
def exports(artefact, tmp_path):
    """The artefact with its classifier in ./exports."""
    shutil.copytree(artefact.parent, tmp_path / "exports")
    return tmp_path / "exports"


@pytest.fixture
def variant(artefact, tmp_path):
    """Copies of the artefact whose cards say other things."""

    def make(name, *, precision=None, unverified=None, **changes):
        path = tmp_path / f"{name}.onnx"
        shutil.copy(artefact, path)
        card = read_card_of(artefact)
        verdicts = tuple(replace(verdict, **changes) for verdict in card.verdicts)
        precision = precision or card.precision
        attach_card(
            path, replace(card, verdicts=verdicts, precision=precision, unverified=unverified)
        )
        return path

    return make


def chosen(checkpoint, caplog, **request):
    caplog.clear()
    with caplog.at_level("INFO", "stargan_deploy"):
        return resolve_runtime(read_model(checkpoint), RuntimeRequest(device=CPU, **request))


def test_the_fastest_as_measured_is_taken_with_a_spread(checkpoint, exports, clock, caplog):
    assert chosen(checkpoint, caplog, batch_size=4).backend == "onnx"
    assert (
        "auto: onnx (float32, 2x (2 to 2 in 15 rounds of batch 4) as fast as eager)" in caplog.text
    )


def test_eager_stays_where_nothing_is_faster(checkpoint, exports, clock, caplog):
    clock["onnx"] = 0.011
    assert chosen(checkpoint, caplog).backend == "eager"
    assert "auto: eager (nothing proven here is faster at batch 16)" in caplog.text


def test_noise_is_no_reason_to_leave_eager(checkpoint, exports, clock, caplog):
    clock["onnx"] = itertools.cycle([0.005, 0.02, 0.005, 0.009])
    assert chosen(checkpoint, caplog).backend == "eager"


def test_a_measurement_is_reused_under_the_same_conditions_only(
    checkpoint, exports, clock, cache, caplog, monkeypatch
):
    chosen(checkpoint, caplog, batch_size=4)
    calls = clock["calls"]
    clock["onnx"] = 1.0
    assert chosen(checkpoint, caplog, batch_size=4).backend == "onnx"
    assert clock["calls"] == calls
    assert chosen(checkpoint, caplog, batch_size=2).backend == "eager"
    assert clock["calls"] > calls
    (kept, _) = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    conditions = json.loads(kept.read_text())["conditions"]
    assert (conditions["batch"], conditions["machine"]) == (4, CPU.name())
    assert [name.split()[0] for name in conditions["candidates"]] == ["eager", "onnx"]
    assert {"device", "threads", "size", "versions"} < conditions.keys()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert chosen(checkpoint, caplog, batch_size=4).backend == "eager"
    kept.write_text("{}")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert chosen(checkpoint, caplog, batch_size=4).backend == "eager"


BUSY = Disturbance(others=0.6)
ON_BATTERY = Disturbance(on_battery=True)


@pytest.mark.parametrize(
    ("then", "now", "is_repeated"),
    [
        (BUSY, Disturbance(others=0.05), True),
        (BUSY, Disturbance(others=0.5), False),
        (ON_BATTERY, Disturbance(), True),
        (ON_BATTERY, ON_BATTERY, False),
        (Disturbance(others=0.19), Disturbance(), False),
        (Disturbance(), BUSY, False),
    ],
)
def test_a_disturbed_measurement_is_repeated_when_it_is_quieter(
    then, now, is_repeated, checkpoint, exports, clock, cache, caplog, machine
):
    machine["disturbance"] = then
    assert chosen(checkpoint, caplog).backend == "onnx"
    assert ("compares again when it is quieter" in caplog.text) == (not then.is_quiet)
    clock["onnx"], machine["disturbance"] = 1.0, now
    again = chosen(checkpoint, caplog).backend
    assert again == ("eager" if is_repeated else "onnx")
    (kept,) = cache.iterdir()
    found = json.loads(kept.read_text())["disturbance"]
    assert found == asdict(now if is_repeated else then)


def test_a_measurement_of_unknown_circumstances_is_repeated(
    checkpoint, exports, clock, cache, caplog
):
    """Files of earlier versions do not say how busy the machine was."""
    chosen(checkpoint, caplog)
    (kept,) = cache.iterdir()
    content = json.loads(kept.read_text())
    del content["disturbance"]
    kept.write_text(json.dumps(content))
    clock["onnx"] = 1.0
    assert chosen(checkpoint, caplog).backend == "eager"


def test_one_graph_at_two_precisions_is_two_candidates(checkpoint, exports, clock, cache, caplog):
    """OpenVINO's file for bf16 holds the FP32 graph, so that its hash is the same."""
    shutil.copy(exports / "tiny.onnx", exports / "tiny-bf16.onnx")
    card = read_card_of(exports / "tiny.onnx")
    attach_card(exports / "tiny-bf16.onnx", replace(card, precision={"conv": "bfloat16"}))
    chosen(checkpoint, caplog)
    (kept,) = cache.iterdir()
    names = json.loads(kept.read_text())["conditions"]["candidates"]
    assert [name.split()[:2] for name in names] == [
        ["eager", "fp32"],
        ["onnx", "bf16"],
        ["onnx", "fp32"],
    ]


def test_a_dry_run_keeps_no_measurement(checkpoint, exports, clock, cache, caplog):
    assert chosen(checkpoint, caplog, dry_run=True).backend == "onnx"
    assert not cache.exists()


def test_a_slow_model_is_measured_with_fewer_rows(checkpoint, exports, clock, caplog):
    clock |= {"eager": 0.3, "onnx": 0.2}
    chosen(checkpoint, caplog)
    assert "in 15 rounds of batch 1)" in caplog.text


def test_the_real_measurement_is_short(checkpoint, exports, caplog):
    start_s = time.perf_counter()
    chosen(checkpoint, caplog)
    assert time.perf_counter() - start_s < 4 * speed.BUDGET_S


def test_refused_exports_take_one_line(checkpoint, exports, clock, caplog):
    card = read_card_of(exports / "tiny.onnx")
    for number in range(6):
        shutil.copy(exports / "tiny.onnx", exports / f"old{number}.onnx")
        verdicts = tuple(replace(v, machine="Another CPU") for v in card.verdicts)
        unverified = "no GPU" if number == 0 else None
        attach_card(
            exports / f"old{number}.onnx", replace(card, verdicts=verdicts, unverified=unverified)
        )
    chosen(checkpoint, caplog)
    (line,) = [r.message for r in caplog.records if r.message.startswith("auto: not ")]
    assert line == (
        "auto: not exports/old0.onnx (unverified: no GPU); exports/old1.onnx, exports/old2.onnx "
        "and 3 more (proven on another machine (Another CPU, Another CPU))"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unverified": "no GPU"}, "unverified: no GPU"),
        ({"passed": False}, "not proven on cpu"),
        ({"device": "cuda:0"}, "not proven on cpu"),
        ({"runtime": "trt"}, "not proven on cpu"),
        ({"machine": "Another CPU"}, "proven on another machine (Another CPU"),
        ({"versions": {"onnxruntime-gpu": "0.9"}}, "another version of onnxruntime"),
        ({"versions": {}}, "another version of onnxruntime"),
        ({"precision": {"conv": "float32+int8"}}, "INT8 is used only where the file is given"),
        ({"measured": {"psnr_db": 44.9, "mean_difference": 0.1}}, "below the gate of 45 dB"),
        ({"measured": {"psnr_db": 50.0, "mean_difference": 0.6}}, "below the gate of 45 dB"),
    ],
)
def test_what_auto_must_not_choose_is_refused_with_the_reason(variant, changes, reason):
    path = variant("bad", **changes)
    good, (refusal,) = judged([path])
    assert not good
    assert refusal.path == path
    assert reason in refusal.reason


def test_an_export_that_wants_masks_is_skipped(tmp_path):
    """It was taken, and could not translate."""
    model = lively_model("pix2pix", tmp_path)
    options = ExportOptions(stochastic=True, max_batch=4)
    export(model, out=tmp_path / "stochastic.onnx", options=options)
    good, (refusal,) = judged([tmp_path / "stochastic.onnx"])
    assert not good
    assert "`stochastic`" in refusal.reason


def test_an_export_that_does_not_take_the_size_is_refused(checkpoint, tmp_path):
    """It was chosen, and then refused the images."""
    options = ExportOptions(max_size=32)
    path = export(checkpoint, out=tmp_path / "small.onnx", options=options).files[0]
    for size, is_refused in ((None, False), (32, False), (64, True)):
        _, refusals = judged([path], size=size)
        assert bool([r for r in refusals if "64x64" in r.reason]) == is_refused


def test_broken_files_are_skipped(checkpoint, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "exports" / "broken.onnx"
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    with caplog.at_level("DEBUG", "stargan_deploy"):
        chosen = resolve_runtime(read_model(checkpoint), RuntimeRequest(device=CPU))
    assert chosen.backend == "eager"
    assert "broken.onnx" in caplog.text


def test_an_exports_own_verdicts_are_good_enough_and_hold_no_noise(artefact):
    verdict: Verdict = read_card_of(artefact).verdicts[0]
    assert verdict.machine
    assert verdict.speedup is None
    assert "fast" not in describe(verdict)
    _, refusals = judged([artefact])
    assert not refusals
