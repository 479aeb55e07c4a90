import json
from pathlib import Path

import pytest

from stargan_deploy.benchmarking.machine.machine import (
    command_line,
    describe_machine,
    take_snapshot,
)
from stargan_deploy.benchmarking.results import Results, Snapshot, load_results, save_results
from stargan_deploy.devices import Device


def test_paths_are_stripped_to_their_last_part():
    words = [
        *("/home/alice/.venv/bin/stargan-deploy", "bench", "../recipes/cpu.toml"),
        *("--model=/home/alice/secret/model.onnx", "--out", "results/"),
        *("--set", "bench.models=/a/b.onnx,/c/d.onnx", r"C:\Users\alice\x.onnx"),
    ]
    assert command_line(words) == (
        "stargan-deploy bench cpu.toml --model=model.onnx --out results --set "
        "bench.models=b.onnx,d.onnx x.onnx"
    )


@pytest.mark.parametrize("word", ["a b", "$(reboot)", "", "/", ".", "naïve", "--batch-sizes=1,8"])
def test_other_words_stay_and_are_quoted(word):
    import shlex

    assert shlex.split(command_line([word])) == [word]


def test_odd_bytes_and_line_breaks_cannot_break_a_report():
    text = command_line(["caf\udce9", "two\nlines\x1b[31m"])
    text.encode("utf-8")
    assert "\n" not in text
    assert "\x1b" not in text


def test_a_description_survives_its_file(tmp_path):
    before, after = take_snapshot(), take_snapshot()
    machine = describe_machine(before=before, after=after, command=["stargan-deploy", "bench"])
    assert machine.cpu
    assert machine.num_cores >= 1
    assert machine.num_threads >= 1
    assert machine.gpu is None
    assert machine.driver is None
    assert {"stargan-deploy", "python", "torch", "numpy"} <= set(machine.versions)
    results = Results(created="", model="m", model_sha256="0", machine=machine)
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json").machine == machine
    assert str(Path.home()) not in json.dumps(results.to_json())


def test_threads_that_were_given():
    empty = Snapshot()
    assert describe_machine(before=empty, after=empty, num_threads=3).num_threads == 3


@pytest.mark.gpu
def test_a_gpu_is_named():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    empty = Snapshot()
    machine = describe_machine(before=empty, after=empty, device=Device("cuda"))
    assert machine.gpu == torch.cuda.get_device_name(0)
    assert "cuda" in machine.versions
