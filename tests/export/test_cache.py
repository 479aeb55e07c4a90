import os
import shutil

import pytest

from stargan_deploy.errors import UsageError
from stargan_deploy.export import cache
from stargan_deploy.export.cache import (
    cached_artefacts,
    cached_path,
    is_cached,
    make_cached,
    prune_cache,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stargan-deploy" / "artefacts"


def test_an_artefact_is_made_once_and_found_by_content(checkpoint, tmp_path):
    assert cached_artefacts(checkpoint) == []
    path = make_cached(checkpoint, "onnx", device="cpu")
    stamp = path.stat().st_mtime_ns
    copy = shutil.copy(checkpoint, tmp_path / "renamed.safetensors")
    assert make_cached(copy, "onnx", device="cpu") == path
    assert path.stat().st_mtime_ns == stamp
    assert cached_artefacts(copy) == [path]
    assert cached_artefacts(checkpoint, weights="ema") == []


def test_a_damaged_artefact_is_made_again(checkpoint):
    path = make_cached(checkpoint, "onnx", device="cpu")
    path.write_bytes(path.read_bytes()[:100])
    assert not is_cached(path)
    assert cached_artefacts(checkpoint) == []
    assert is_cached(make_cached(checkpoint, "onnx", device="cpu"))


def test_formats_and_precisions_stand_apart(checkpoint):
    paths = {
        cached_path(checkpoint, "onnx"),
        cached_path(checkpoint, "onnx", "fp16"),
        cached_path(checkpoint, "onnx", weights="ema"),
    }
    assert len(paths) == 3
    with pytest.raises(UsageError, match="no onnx at precision 'bf16'"):
        cached_path(checkpoint, "onnx", "bf16")


def test_what_was_not_used_for_longest_goes_first(folder):
    for age, name in enumerate(("young", "middle", "old")):
        (folder / name / "onnx").mkdir(parents=True)
        (folder / name / "onnx" / "model.onnx").write_bytes(bytes(1000))
        os.utime(folder / name / "onnx", (1e9 - age, 1e9 - age))
    keep = folder / "old" / "onnx"
    prune_cache(2500, keep=keep)
    assert [f.parent.name for f in sorted(folder.glob("*/onnx"))] == ["old", "young"]
    prune_cache(10, keep=keep)
    assert [f.parent.name for f in sorted(folder.glob("*/onnx"))] == ["old"]


def test_the_limit_comes_from_the_environment(checkpoint, folder, monkeypatch):
    (folder / "other" / "onnx").mkdir(parents=True)
    (folder / "other" / "onnx" / "model.onnx").write_bytes(bytes(1000))
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "1")
    path = make_cached(checkpoint, "onnx", device="cpu")
    assert is_cached(path)
    assert not (folder / "other" / "onnx").exists()
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "4 GB")
    with pytest.raises(UsageError, match="give a number of bytes"):
        make_cached(checkpoint, "onnx", device="cpu")
