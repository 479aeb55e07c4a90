import contextlib
import dataclasses
import resource
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from stargan_deploy.benchmarking.measure import memory
from stargan_deploy.benchmarking.measure.memory import MemoryProbe, PeakMemory, measure_peak_memory
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions

MEBIBYTE = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def onnx_probe(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> MemoryProbe:
    out = tmp_path_factory.mktemp("memory") / "tiny.onnx"
    export(checkpoint, out=out, options=ExportOptions(device="cpu"))
    return MemoryProbe(path=str(out), backend="onnx", height=32, width=32)


@pytest.fixture(scope="module")
def small(onnx_probe: MemoryProbe) -> PeakMemory:
    return measure_peak_memory(onnx_probe)


def replaced_child(monkeypatch, program: str) -> None:
    monkeypatch.setattr(memory, "_CHILD", program)


@on_linux
def test_a_model_adds_to_its_libraries(small):
    assert small.reason == ""
    assert small.device_bytes is None
    assert small.host_bytes > small.libraries_bytes > 5 * MEBIBYTE


@on_linux
def test_larger_images_take_more(onnx_probe, small):
    large = dataclasses.replace(onnx_probe, batch_size=32, height=256, width=256)
    one_layer = 32 * 8 * 256 * 256 * 4
    assert measure_peak_memory(large).host_bytes > small.host_bytes + one_layer / 2


@on_linux
def test_what_this_process_holds_does_not_count(onnx_probe, small):
    ballast = np.ones(75 * MEBIBYTE, np.float64)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > ballast.nbytes
    peak = measure_peak_memory(onnx_probe)
    assert peak.host_bytes < small.host_bytes + ballast.nbytes / 2


@on_linux
def test_a_checkpoint_in_eager(checkpoint):
    probe = MemoryProbe(
        path=str(checkpoint), backend="eager", height=32, width=32, entry_point="classify"
    )
    peak = measure_peak_memory(probe)
    assert peak.host_bytes > peak.libraries_bytes > 5 * MEBIBYTE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"height": 33}, "multiple of 4"),
        ({"path": "/nowhere/model.onnx"}, "no such artefact"),
        ({"backend": "eager"}, "does not run"),
        ({"precision": "fp16"}, "precision of its own"),
        ({"entry_point": "sample"}, "sample"),
        ({"backend": "no such"}, "unknown backend"),
    ],
)
def test_a_failure_is_a_reason(onnx_probe, change, reason):
    peak = measure_peak_memory(dataclasses.replace(onnx_probe, **change))
    assert peak.host_bytes is None
    assert peak.device_bytes is None
    assert reason in peak.reason


def test_a_process_that_hangs(onnx_probe, monkeypatch):
    replaced_child(monkeypatch, "import time; time.sleep(60)")
    assert measure_peak_memory(onnx_probe, limit_s=0.3).reason == "no answer in 0.3 s"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "memory runs out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("raise SystemExit('the library broke')", "exit code 1 and no answer: the library broke"),
        ("import sys; open(sys.argv[-1], 'w').write('{\"host_bytes\": 5')", "exit code 0"),
        ("import sys; open(sys.argv[-1], 'w').write('[1]')", "exit code 0"),
        ("import sys; open(sys.argv[-1], 'wb').write(b'\\xff')", "exit code 0"),
    ],
)
def test_a_process_that_breaks(onnx_probe, monkeypatch, program, reason):
    replaced_child(monkeypatch, program)
    peak = measure_peak_memory(onnx_probe)
    assert peak.host_bytes is None
    assert reason in peak.reason


@on_linux
def test_what_the_process_started_ends_with_it(onnx_probe, monkeypatch, tmp_path):
    note = tmp_path / "pid"
    replaced_child(
        monkeypatch,
        "import pathlib, subprocess, time; child = subprocess.Popen(['sleep', '600']); "
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid)); time.sleep(600)",
    )
    measure_peak_memory(onnx_probe, limit_s=1.5)
    with contextlib.suppress(psutil.NoSuchProcess):
        child = psutil.Process(int(note.read_text()))
        if child.status() != psutil.STATUS_ZOMBIE:  # it was killed, and takes a moment to die
            child.wait(timeout=30)


@pytest.mark.gpu
def test_a_gpus_memory(checkpoint):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    probe = MemoryProbe(
        path=str(checkpoint), backend="eager", device="cuda:0", height=32, width=32, batch_size=2
    )
    assert measure_peak_memory(probe).device_bytes > 0
