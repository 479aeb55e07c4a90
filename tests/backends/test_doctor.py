import os
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from stargan_deploy.backends.doctor import examine, examine_machine
from stargan_deploy.backends.onnx.runtime import OnnxRuntime
from stargan_deploy.backends.registry import SPECS
from stargan_deploy.devices import CPU
from stargan_deploy.errors import BackendError

ROOT = Path(__file__).parents[2]

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a module of some source in the place of a backend."""

    def write(body: str, backend: str = "onnx") -> None:
        indented = "\n".join(f"        {line}" for line in body.splitlines())
        source = (
            "import os, sys, time, subprocess\n"
            "from stargan_deploy.backends.base import FileRuntime, SelfTest\n"
            f"class StandIn(FileRuntime):\n    @classmethod\n    def self_test(cls):\n{indented}\n"
        )
        (tmp_path / "stand_in.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        stand_in = replace(SPECS[backend], runtime="stand_in:StandIn")
        monkeypatch.setitem(SPECS, backend, stand_in)

    return write


def is_running(pid: int) -> bool:
    """Whether a process is alive; one that ended but was not yet collected is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_onnxruntime_is_really_tried():
    finding = examine("onnx")
    assert finding.usable, finding.text
    assert finding.text.startswith("CPU")
    assert "onnxruntime" in finding.version
    assert onnxruntime.__version__ in finding.version
    assert finding.seconds > 0


def test_what_works_and_what_is_missing_are_told_apart(install):
    install("return SelfTest(text='CPU only: no libfoo.so.1', hint='pip install foo; or build it')")
    finding = examine("onnx")
    assert finding.usable
    assert finding.text == "CPU only: no libfoo.so.1"
    assert finding.remedy == "pip install foo; or build it"


def test_a_backend_that_refuses_gives_reason_and_remedy(install):
    install(
        "from stargan_deploy.errors import BackendError\n"
        "raise BackendError('no GPU of a kind\\n  that it knows', hint='take another')",
        "trt",
    )
    finding = examine("trt")
    assert not finding.usable
    assert (finding.text, finding.remedy) == ("no GPU of a kind that it knows", "take another")


@pytest.mark.parametrize(
    ("backend", "body", "text", "remedy"),
    [
        (
            "openvino",
            "import no_such_package.part",
            "no_such_package is not installed",
            "pip install 'stargan-deploy[openvino]'",
        ),
        (
            "eager",
            "raise ImportError('libfoo.so.3: cannot open')",
            "does not load: libfoo.so.3: cannot open",
            "pip install stargan-deploy",
        ),
        ("trt", "import stargan_deploy.backends.none", "not in this version", "pip install --up"),
        ("pt2", "raise ValueError('odd\\nthing')", "ValueError: odd thing", ""),
        ("pt2", "raise MemoryError", "MemoryError", ""),
    ],
)
def test_whatever_is_raised_is_a_row(install, backend, body, text, remedy):
    install(body, backend)
    finding = examine(backend)
    assert not finding.usable
    assert text in finding.text
    assert finding.remedy.startswith(remedy)


def test_a_backend_that_is_not_written_yet_is_a_row(monkeypatch):
    missing = replace(SPECS["pt2"], runtime="stargan_deploy.backends.no_such_module:Runtime")
    monkeypatch.setitem(SPECS, "pt2", missing)
    finding = examine("pt2")
    assert (finding.usable, finding.text) == (False, "not in this version")


@posix_only
@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGKILL"])
def test_a_crash_is_a_row(install, name):
    last = "print('last words'); sys.stdout.flush()"
    install(f"import signal; {last}; os.kill(os.getpid(), signal.{name})")
    finding = examine("onnx")
    assert not finding.usable
    assert finding.text == f"crashed with {name}: last words"
    assert "pip install" in finding.remedy


def test_leaving_without_an_answer_is_a_row(install):
    install("os._exit(3)")
    finding = examine("onnx")
    assert (finding.usable, finding.text) == (False, "ended with exit code 3 and no answer")


def test_noise_is_no_answer_and_does_no_harm(install, capfd):
    install(
        "print('{\"usable\": false}'); print('noise', file=sys.stderr); return SelfTest(text='CPU')"
    )
    finding = examine("onnx")
    assert (finding.usable, finding.text) == (True, "CPU")
    assert capfd.readouterr() == ("", "")


@posix_only
def test_a_hang_ends_with_all_that_it_started(install, tmp_path):
    pids = tmp_path / "pids"
    install(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(300)"
    )
    finding = examine("onnx", limit_s=3)
    assert (finding.usable, finding.text) == (False, "no answer in 3 s")
    ended = [int(pid) for pid in pids.read_text().split()]
    assert len(ended) == 2
    while any(map(is_running, ended)):
        time.sleep(0.05)


def test_the_folder_one_stands_in_is_not_imported_from(tmp_path, monkeypatch):
    (tmp_path / "onnxruntime.py").write_text("raise SystemError")
    (tmp_path / "json.py").write_text("raise SystemError")
    monkeypatch.chdir(tmp_path)
    assert examine("onnx").usable


@pytest.mark.parametrize("name", SPECS)
def test_the_least_versions_are_those_of_the_distribution(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    required = {line for lines in (project["dependencies"], *extras) for line in lines}
    for package, version in SPECS[name].packages.items():
        assert any(line.partition(";")[0].strip() == f"{package}>={version}" for line in required)
    assert not SPECS[name].extra or SPECS[name].extra in project["optional-dependencies"]


def test_onnxruntime_names_what_it_lacks(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    found = OnnxRuntime.self_test()
    assert found.text == "CPU only: built without CUDA"
    assert "pip install onnxruntime-gpu" in found.hint


def test_a_silent_fallback_to_the_cpu_is_reported(capfd):
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    text = OnnxRuntime.self_test().text
    assert text == "CPU, CUDA" or text.startswith(("CPU only: no NVIDIA driver", "CPU only: lib"))
    assert capfd.readouterr() == ("", "")


def test_wrong_numbers_are_not_usable(monkeypatch):
    def run_wrong(self, names, inputs):
        return [-found for found in genuine(self, names, inputs)]

    genuine = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run_wrong)
    with pytest.raises(BackendError, match="wrong numbers on cpu; install another version"):
        OnnxRuntime.self_test()


def test_the_machine_is_described_without_its_libraries():
    machine = examine_machine()
    assert machine.processor == CPU.name()
    assert 1 <= machine.num_cores <= (os.cpu_count() or 1)
    assert machine.python == sys.version.split()[0]


@posix_only
@pytest.mark.parametrize(
    ("script", "gpus"),
    [
        (
            "echo 'NVIDIA H200, 580.1'; echo 'NVIDIA L4, 580.1'",
            ("NVIDIA H200 (driver 580.1)", "NVIDIA L4 (driver 580.1)"),
        ),
        ("echo 'no driver' >&2; exit 9", ()),
    ],
)
def test_gpus_are_those_of_the_driver(tmp_path, monkeypatch, script, gpus):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examine_machine().gpus == gpus
