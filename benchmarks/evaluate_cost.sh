#!/usr/bin/env bash
# Cost of `stargan-deploy evaluate` with a judge against `stargan-deploy batch` for the same photos, targets
# and model, in turn, and its peak memory over few and over many photos. About ten minutes on two cores:
#
#     benchmarks/evaluate_cost.sh [photos] [rounds] [model] [judge]
#
# The model is the demo model unless one is named, and judges itself unless a judge is named. On a busy
# machine look at CPU seconds.
set -euo pipefail
photos=${1:-1000}
rounds=${2:-3}
model=${3:+$(realpath "$3")}
judge=${4:+$(realpath "$4")}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" # no runs here: the demo model is used

python - "$photos" "$rounds" "$model" "$judge" <<'PYTHON'
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from stargan_deploy.benchmarking.suite.synthetic_photos import write_synthetic_photos
from stargan_deploy.inference.find import DEMO_MODEL, read_model

num, rounds, model, judge = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
model = model or str(DEMO_MODEL)
targets = [target.text for target in read_model(Path(model)).card.labels.single_targets()][:5]
drawn = write_synthetic_photos(Path("drawn"), 20, (128, 512))


def lay_out(name, count):
    """A data set with so many held-out photos, which differ in their last byte."""
    for split, number in [("train", 1), ("test", count)]:
        folder = Path(name, split)
        folder.mkdir(parents=True)
        for n in range(number):
            (folder / f"{n:05d}.jpg").write_bytes(drawn[n % len(drawn)].read_bytes() + b"%d" % n)


def cost(*words):
    """Wall seconds, CPU seconds, and peak memory in megabytes of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(["stargan-deploy", *words, "--quiet"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(words)}")
    scale = 1e6 if sys.platform == "darwin" else 1e3 / 1.024
    wall = time.perf_counter() - start
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / scale


attrs = [word for target in targets for word in ("--attrs", target)]
lay_out("data", num)
how = ("--backend", "eager", *attrs)
batch = ("batch", "--input", "data/test", "--model", model, "--output", "out", *how)
few = ("evaluate", model, "--judge", judge or model, "--count", str(num), "--data", "data", *how)
costs = {"batch": [], "evaluate": []}
for _ in range(rounds):
    for name, words in (("batch", batch), ("evaluate", few)):
        costs[name].append(cost(*words))
        shutil.rmtree("out", ignore_errors=True)
        wall, cpu, peak = costs[name][-1]
        print(f"{name}: {wall:.1f} s, {cpu:.1f} CPU s, peak {peak:.0f} MB", flush=True)
for place, unit in enumerate(("wall", "CPU")):
    ratios = [e[place] / b[place] for b, e in zip(costs["batch"], costs["evaluate"], strict=True)]
    print(f"evaluate / batch, {num} photos to {len(targets)} targets, {unit}: {median(ratios):.2f}")
lay_out("many", 10 * num)
words = ("evaluate", model, "--count", str(10 * num), "--data", "many", "--attrs", targets[0])
_, _, least = cost(*words[:3], str(num), "--data", "data", "--attrs", targets[0], "--backend", "eager")
_, _, most = cost(*words, "--backend", "eager")
print(f"peak memory: {least:.0f} MB over {num} photos, {most:.0f} MB over {10 * num}")
if most > 1.15 * least + 10 * num * 2e-3:
    sys.exit("memory grows with the number of photos")
PYTHON
