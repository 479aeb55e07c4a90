#!/bin/sh
# How long `stargan-deploy batch` takes for one photo, and how much memory, from a cold process:
# this checkout and another one in turn, with the same ONNX file and photo.
#
#     benchmarks/start_up.sh PATH_OF_ANOTHER_CHECKOUT [ROUNDS]
#
# PYTHON names the interpreter, in whose environment both checkouts run.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
other=$(cd "${1:?give the path of another checkout}" && pwd)
rounds=${2:-10}
python=${PYTHON:-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Exported by the other one: an older reader may not know the fields of a newer card.
PYTHONPATH=$other $python -m stargan_deploy export --format onnx --out model.onnx --device cpu --quiet
HERE=$here OTHER=$other ROUNDS=$rounds $python - <<'PYTHON'
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

Path("photos").mkdir()
pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
Image.fromarray(pixels).save("photos/photo.jpg")
BATCH = ["-m", "stargan_deploy", "batch", "-i", "photos", "--model", "model.onnx", "--quiet"]
# Peak memory of a child is known to its parent alone, so each run has a parent of its own.
PARENT = (
    "import resource, subprocess, sys, time; start = time.perf_counter();"
    "subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL);"
    "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def run(checkout, number):
    words = [*BATCH, "--attrs", "Blond_Hair", "-o", f"out-{number}"]
    done = subprocess.run(
        [sys.executable, "-c", PARENT, *words],
        env={**os.environ, "PYTHONPATH": checkout},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, kilobytes = done.stdout.split()[-2:]
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return float(seconds), float(kilobytes) / unit


sides = {"this": os.environ["HERE"], "other": os.environ["OTHER"]}
found = {side: [] for side in sides}
for number in range(int(os.environ["ROUNDS"]) + 1):
    for side, checkout in sides.items():
        found[side].append(run(checkout, f"{side}-{number}"))
for side in sides:
    del found[side][0]  # fills the file cache
    seconds, megabytes = zip(*found[side], strict=True)
    print(
        f"{side:6} median {statistics.median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}), peak {max(megabytes):.0f} MB"
    )
shares = [mine[0] / theirs[0] for mine, theirs in zip(found["this"], found["other"], strict=True)]
print(f"this takes {statistics.median(shares):.2f} of the other's time, round by round")
PYTHON
