"""Artefacts of onnxruntime and OpenVINO are run without PyTorch."""

import importlib.util
import subprocess
import sys

import pytest

from stargan_deploy.backends.registry import format_spec
from stargan_deploy.export.export import export
from stargan_deploy.export.plan import ExportOptions
from tests.photos import encode, noise

PROGRAM = """
import sys
from stargan_deploy.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = ("torch", "onnx", "matplotlib", "jinja2", "ray")
unwanted = [name for name in heavy if name in sys.modules]
assert not unwanted, unwanted
"""


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_batch_imports_no_torch(checkpoint, tmp_path, format):
    if not importlib.util.find_spec("openvino"):
        pytest.skip("needs openvino")
    model = tmp_path / f"tiny{format_spec(format).suffix}"
    export(checkpoint, out=model, options=ExportOptions(format=format, device="cpu"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photo.jpg").write_bytes(encode(noise(), "JPEG"))
    words = ["batch", "-i", "photos", "-o", "out", "--attrs", "Male", "--model", str(model)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "photo.jpg").is_file()
