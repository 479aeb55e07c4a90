"""A tiny checkpoint exported both ways."""

from pathlib import Path

import pytest

from stargan_deploy.export.export import ExportResult, export
from stargan_deploy.export.plan import ExportOptions


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """The checkpoint as ONNX with pixels in and out."""
    return export(checkpoint, out=tmp_path_factory.mktemp("uint8") / "tiny.onnx")


@pytest.fixture(scope="session")
def exported_float(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """The checkpoint as ONNX with float images in and out."""
    return export(
        checkpoint,
        out=tmp_path_factory.mktemp("float") / "tiny.onnx",
        options=ExportOptions(io="float"),
    )
