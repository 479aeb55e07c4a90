import sys
from pathlib import Path

import pytest

from stargan_deploy.files.cache import cache_folder


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system has places of its own")
def test_the_cache_stays_where_it_was(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path / ".cache" / "stargan-deploy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere" / "stargan-deploy"
