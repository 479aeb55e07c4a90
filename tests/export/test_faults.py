"""A full disk and Ctrl-C in the middle of an export, of every format: nothing half is left."""

import errno
import os

import pytest

from stargan_deploy.backends.registry import format_spec, load_exporter
from stargan_deploy.errors import OutputError
from stargan_deploy.export.export import export, run_export
from stargan_deploy.export.plan import ExportOptions, plan_export

FORMATS = ["onnx", "openvino", "trt", "triton"]


@pytest.fixture
def plan(checkpoint, tmp_path):
    def make(name):
        out = tmp_path / "out" / f"tiny{format_spec(name).suffix}"
        return plan_export(checkpoint, out=out, options=ExportOptions(format=name))

    return make


def break_fsync(monkeypatch, after: int) -> None:
    """The disk is full from the n-th flush on."""
    real, calls = os.fsync, iter(range(10**6))

    def fsync(descriptor):
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_nothing(plan, tmp_path, monkeypatch, name, after):
    settled = plan(name)
    break_fsync(monkeypatch, after)
    with pytest.raises(OutputError, match="No space left on device; free space or choose another"):
        run_export(settled)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_ctrl_c_in_the_middle_of_a_build_leaves_nothing(plan, tmp_path, monkeypatch, name):
    settled = plan(name)
    target = load_exporter(name)
    real, built = target.write_graph, []

    def write_graph(request, path):
        written = real(request, path)
        if built:
            raise KeyboardInterrupt
        built.append(path)
        return written

    monkeypatch.setattr(target, "write_graph", write_graph)
    with pytest.raises(KeyboardInterrupt):
        run_export(settled)
    assert built
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_export_keeps_what_was_there(checkpoint, tmp_path, monkeypatch):
    out = tmp_path / "tiny.onnx"
    export(checkpoint, out=out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    break_fsync(monkeypatch, 3)
    with pytest.raises(OutputError):
        export(checkpoint, out=out, options=ExportOptions(io="float", overwrite=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
