import shutil
from dataclasses import replace

import pytest

from stargan_deploy.backends.onnx.file import attach_card
from stargan_deploy.backends.registry import read_card_of
from stargan_deploy.card.card import Verdict
from stargan_deploy.devices import CPU
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from stargan_deploy.inference.choose import RuntimeRequest, resolve_runtime
from stargan_deploy.inference.fastest import choose_fastest
from stargan_deploy.inference.find import read_model
from tests.tiny_families import lively_model


def fastest(checkpoint, artefacts):
    return choose_fastest(read_model(checkpoint), map(read_model, artefacts), device=CPU)


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


def test_the_fastest_by_its_proof_is_taken_and_the_reason_told(checkpoint, variant):
    slow, fast = variant("slow", speedup=1.2), variant("fast", speedup=3.14)
    choice, refusals = fastest(checkpoint, [slow, fast])
    assert (choice.model.path, choice.backend, choice.speedup) == (fast, "onnx", 3.14)
    assert "3.1x as fast as eager" in choice.reason
    assert not refusals


def test_eager_stays_where_nothing_is_faster(checkpoint, variant):
    choice, _ = fastest(checkpoint, [variant("slow", speedup=0.4)])
    assert (choice.model.path, choice.backend) == (checkpoint, "eager")
    assert fastest(checkpoint, [])[0].backend == "eager"


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
def test_what_auto_must_not_choose_is_refused_with_the_reason(checkpoint, variant, changes, reason):
    path = variant("bad", speedup=100.0, **changes)
    choice, (refusal,) = fastest(checkpoint, [path])
    assert choice.backend == "eager"
    assert refusal.path == path
    assert reason in refusal.reason


def test_an_export_that_wants_masks_is_skipped(tmp_path):
    """It was taken, and could not translate."""
    model = lively_model("pix2pix", tmp_path)
    options = ExportOptions(stochastic=True, max_batch=4)
    export(model, out=tmp_path / "stochastic.onnx", options=options)
    choice, (refusal,) = fastest(model, [tmp_path / "stochastic.onnx"])
    assert choice.model.path == model
    assert "`stochastic`" in refusal.reason


def test_an_export_that_does_not_take_the_size_is_refused(checkpoint, tmp_path):
    """It was chosen, and then refused the images."""
    options = ExportOptions(max_size=32)
    path = export(checkpoint, out=tmp_path / "small.onnx", options=options).files[0]
    for size, is_refused in ((None, False), (32, False), (64, True)):
        _, refusals = choose_fastest(
            read_model(checkpoint), [read_model(path)], device=CPU, size=size
        )
        assert bool([r for r in refusals if "64x64" in r.reason]) == is_refused


def test_a_verdict_without_a_speed_is_no_reason_to_leave_eager(checkpoint, variant):
    assert fastest(checkpoint, [variant("old", speedup=None)])[0].backend == ("eager")


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


def test_an_exports_own_verdicts_are_good_enough(checkpoint, artefact):
    verdict: Verdict = read_card_of(artefact).verdicts[0]
    assert verdict.machine
    assert verdict.speedup
    _, refusals = fastest(checkpoint, [artefact])
    assert not refusals
