import json
import os
import subprocess
from pathlib import Path

import pytest

from stargan_deploy.benchmarking.machine.machine import (
    command_line,
    describe_machine,
    git_revision,
    take_snapshot,
)
from stargan_deploy.benchmarking.results import Results, Snapshot, load_results, save_results


def git(folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *identity, *words],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a package in it."""
    package = tmp_path / "repository/stargan_deploy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-q", "-m", "first")
    return package.parent


def test_the_revision_of_a_checkout(checkout):
    assert git_revision(checkout / "stargan_deploy") == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("changed", ["__init__.py", "new.py"])
def test_a_changed_package_has_a_plus(checkout, changed):
    (checkout / "stargan_deploy" / changed).write_text("changed = True\n")
    revision = git_revision(checkout / "stargan_deploy")
    assert revision == git(checkout, "rev-parse", "HEAD") + "+"


def test_files_beside_the_package_do_not_matter(checkout):
    (checkout / "results.json").write_text("{}")
    assert not git_revision(checkout / "stargan_deploy").endswith("+")


def test_a_hooks_variables_point_elsewhere(checkout, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert git_revision(checkout / "stargan_deploy") == git(checkout, "rev-parse", "HEAD")


def test_an_installed_tool_does_not_take_its_users_revision(checkout):
    for place in ("venv/lib/site-packages/stargan_deploy", "vendored/stargan_deploy"):
        package = checkout / place
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        assert git_revision(package) is None
    git(checkout, "add", "vendored")
    git(checkout, "commit", "-q", "-m", "second")
    assert git_revision(checkout / "vendored/stargan_deploy") is None


def test_a_package_that_its_repository_ignores(checkout):
    package = checkout / "stargan_deploy"
    git(checkout, "rm", "-q", "--cached", "-r", "stargan_deploy")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "out")
    assert git_revision(package) is None


def test_no_repository_and_no_git(tmp_path, checkout, monkeypatch):
    (tmp_path / "stargan_deploy").mkdir()
    assert git_revision(tmp_path / "stargan_deploy") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(checkout / "stargan_deploy") is None


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
    machine = describe_machine(before=empty, after=empty, device="cuda:0")
    assert machine.gpu == torch.cuda.get_device_name(0)
    assert "cuda" in machine.versions
