import json
import os
from dataclasses import replace

import pytest

from stargan_deploy.backends.registry import SPECS, runtime_names


@pytest.fixture
def two_backends(tmp_path, monkeypatch):
    """Leaves onnxruntime, which is real, and a backend that cannot be used."""
    (tmp_path / "unusable.py").write_text(
        "from stargan_deploy.backends.base import FileRuntime\n"
        "from stargan_deploy.errors import BackendError\n"
        "class Unusable(FileRuntime):\n"
        "    @classmethod\n"
        "    def self_test(cls):\n"
        "        raise BackendError('no such processor', hint='buy one')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    for name in set(SPECS) - {"onnx", "trt"}:
        monkeypatch.delitem(SPECS, name)
    unusable = replace(SPECS["trt"], runtime="unusable:Unusable")
    monkeypatch.setitem(SPECS, "trt", unusable)


def test_a_table_of_what_is_usable(command, two_backends):
    result = command("doctor")
    assert result.code == 0, result.err
    machine, gpu, cache, empty, head, onnx, trt, remedy = result.out.splitlines()
    assert machine.startswith("machine  ")
    assert "core" in machine
    assert "torch" in machine
    assert gpu.startswith("GPU  ")
    assert cache.startswith("cache    ")
    assert not empty
    assert head.split() == ["backend", "usable", "version", "seconds", "what", "was", "found"]
    assert onnx.split()[:2] == ["onnx", "yes"]
    assert onnx[head.index("what") :].startswith("CPU")
    assert trt.split()[:2] == ["trt", "no"]
    assert trt[head.index("what") :] == "no such processor"
    assert remedy.strip() == "to fix it: buy one"
    tried = ["trying onnx (1 of 2)", "trying trt (2 of 2)"]
    assert result.err.splitlines() == [*tried, "next: stargan-deploy bench"]


def test_the_table_as_json(command, two_backends):
    result = command("doctor", "--json", "--quiet")
    assert (result.code, result.err) == (0, "")
    report = json.loads(result.out)
    assert report["machine"]["num_cores"] >= 1
    onnx, trt = report["backends"]
    assert (onnx["backend"], onnx["usable"]) == ("onnx", True)
    assert (trt["usable"], trt["text"], trt["remedy"]) == (False, "no such processor", "buy one")


def test_the_exit_code_tells_of_the_backend_asked_for(command, two_backends):
    good = command("doctor", "--backend", "onnx", "--quiet")
    assert (good.code, good.err) == (0, "")
    bad = command("doctor", "--backend", "trt", "--quiet")
    assert bad.code == 7
    assert "trt" in bad.out.splitlines()[-2]
    assert bad.err.splitlines() == [
        "stargan-deploy: the trt backend is not usable here: no such processor; buy one"
    ]


def test_an_unknown_backend_is_one_line(command):
    result = command("doctor", "--backend", "onx")
    assert result.code == 2
    assert "did you mean 'onnx'" in result.err
    assert result.out == ""


@pytest.mark.slow
def test_all_backends_of_this_machine(command):
    report = json.loads(command("doctor", "--json", "--quiet").out)
    usable = {row["backend"]: row["usable"] for row in report["backends"]}
    assert list(usable) == list(runtime_names())
    assert usable["eager"]
    assert usable["onnx"]
    for row in report["backends"]:
        assert row["text"]
        assert row["version"] or not row["usable"]
