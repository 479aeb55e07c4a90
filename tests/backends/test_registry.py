import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from stargan_deploy.backends.onnx.file import attach_card
from stargan_deploy.backends.registry import is_proven, open_runtime, read_card_of
from stargan_deploy.errors import ModelError, UsageError


def test_auto_takes_what_the_file_is_made_for(checkpoint, artefact):
    assert open_runtime(checkpoint).backend == "eager"
    assert open_runtime(artefact).backend == "onnx"


def test_options_reach_the_runtime(checkpoint, artefact):
    assert open_runtime(artefact, device="cpu", batch_size=4).batch_size == 4
    assert open_runtime(checkpoint, weights="ema").card.weights == "ema"


def test_an_unproven_artefact_runs_only_when_it_is_asked_for(artefact, tmp_path):
    path = tmp_path / "unproven.onnx"
    shutil.copy(artefact, path)
    attach_card(path, replace(read_card_of(artefact), verdicts=(), unverified="no time"))
    with pytest.raises(ModelError, match=r"not proven.*\(no time\).*`backend` onnx"):
        open_runtime(path)
    with open_runtime(path, backend="onnx", device="cpu") as runtime:
        assert runtime.card.unverified == "no time"


def test_only_passed_verdicts_of_the_backend_count(artefact):
    card = read_card_of(artefact)
    failed = replace(card.verdicts[0], passed=False)
    assert is_proven(card, "onnx")
    assert not is_proven(card, "eager")
    assert not is_proven(replace(card, verdicts=(*card.verdicts, failed)), "onnx")


@pytest.mark.parametrize("read", [read_card_of, open_runtime])
def test_files_of_other_kinds_are_refused(tmp_path, read):
    with pytest.raises(ModelError, match=r"neither a checkpoint nor an artefact.*convert"):
        read(tmp_path / "200000-G.ckpt")


def test_a_backend_that_does_not_run_the_file_is_refused(checkpoint, artefact):
    with pytest.raises(
        UsageError, match=r"'onnx' does not run tiny\.safetensors; eager or compile does"
    ):
        open_runtime(checkpoint, backend="onnx")
    with pytest.raises(UsageError, match=r"'eager' does not run tiny\.onnx; onnx does"):
        open_runtime(artefact, backend="eager")


def test_an_unknown_backend_is_refused(artefact):
    with pytest.raises(UsageError, match="did you mean 'onnx'"):
        open_runtime(artefact, backend="onxx")


def test_other_weights_than_the_artefacts_are_refused(artefact):
    assert open_runtime(artefact, weights="raw").card.weights == "raw"
    with pytest.raises(UsageError, match="holds the raw weights"):
        open_runtime(artefact, weights="ema")


def test_both_kinds_have_a_card(checkpoint, artefact):
    assert read_card_of(checkpoint).labels == read_card_of(artefact).labels


def test_an_onnx_on_the_cpu_needs_no_torch(artefact):
    program = (
        "import sys; from pathlib import Path; from stargan_deploy.backends.registry import *;"
        f"open_runtime(Path({str(artefact)!r}), device='cpu').__enter__();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
