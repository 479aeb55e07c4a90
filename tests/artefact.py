"""A tiny proven artefact."""

from pathlib import Path

import pytest

from stargan_deploy.export.export import export


@pytest.fixture(scope="session")
def artefact(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as ONNX with pixels in and out; its classifier stands beside it."""
    out = tmp_path_factory.mktemp("artefact") / "tiny.onnx"
    return export(checkpoint, out=out).files[0]
