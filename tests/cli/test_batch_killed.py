"""`batch`, killed and resumed; `benchmarks/kill_batch_and_resume.sh` does it 50 times."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

NUM_PHOTOS, NUM_KILLS = 60, 3


def batch(output, checkpoint, *words):
    return [
        *(sys.executable, "-m", "stargan_deploy", "batch", "--input", "photos", "--attrs", "Male"),
        *("--attrs", "Blond_Hair", "--model", str(checkpoint), "--backend", "eager"),
        *("--batch-size", "2", "--output", output, "--quiet", *words),
    ]


def pictures(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


def recorded(folder):
    """The pictures of photos whose end is in the manifest."""
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines() if manifest.exists() else []
    ends = [json.loads(line) for line in lines if b'"input_sha256"' in line and line[-1:] == b"}"]
    return [folder / output["path"] for end in ends for output in end["outputs"]]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_the_tree_is_that_of_an_undisturbed_run(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "photos").mkdir()
    chance = random.Random(1)
    for index in range(NUM_PHOTOS):
        Image.effect_noise((40, 40), 10 + index).save(tmp_path / f"photos/{index}.png")
    subprocess.run(batch("whole", checkpoint), check=True)
    for _ in range(NUM_KILLS):
        before = len(recorded(tmp_path / "out"))
        process = subprocess.Popen(batch("out", checkpoint, "--resume"))
        enough = before + chance.randrange(1, 2 * NUM_PHOTOS // (NUM_KILLS + 1))
        while process.poll() is None and len(recorded(tmp_path / "out")) < enough:
            time.sleep(0.001)
        process.kill()
        process.wait()
    finished = {path: path.stat() for path in recorded(tmp_path / "out")}
    assert 0 < len(finished) < 2 * NUM_PHOTOS
    subprocess.run(batch("out", checkpoint, "--resume"), check=True)
    assert pictures(tmp_path / "out") == pictures(tmp_path / "whole")
    assert len(pictures(tmp_path / "out")) == 2 * NUM_PHOTOS
    for path, before in finished.items():
        now = path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
