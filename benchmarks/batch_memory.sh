#!/usr/bin/env bash
# Peak memory of `stargan-deploy batch` over 1,000 and over 10,000 photos of up to 1024 pixels a side;
# fails where it is more than 15 % higher over the 10,000. Five minutes on two cores:
#
#     benchmarks/batch_memory.sh [few photos] [many photos]
set -euo pipefail
few=${1:-1000}
many=${2:-10000}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" # no runs here: the demo model is used

python - few "$few" many "$many" <<'PYTHON'
import os
import sys
from pathlib import Path

from stargan_deploy.benchmarking.suite.synthetic_photos import write_synthetic_photos

drawn = write_synthetic_photos(Path("drawn"), 20, (128, 1024))
for name, num in zip(sys.argv[1::2], map(int, sys.argv[2::2]), strict=True):
    for number in range(num):
        link = Path(name, f"{number // 100:03d}", f"{number:05d}.jpg")
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(drawn[number % len(drawn)], link)
PYTHON

# Megabytes of the greatest resident memory of a batch over a folder.
peak_mb() { # folder of photos
    python - "$1" <<'PYTHON'
import resource
import subprocess
import sys

words = ("--input", sys.argv[1], "--attrs", "Blond_Hair", "--output", f"{sys.argv[1]}-translated")
subprocess.run(["stargan-deploy", "batch", *words, "--quiet"], check=True, stdout=sys.stderr)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(round(peak / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)))
PYTHON
}

peak_mb few >/dev/null && rm -r few-translated # the first batch may export the model, once
few_mb=$(peak_mb few)
many_mb=$(peak_mb many)
echo "peak memory: $few photos $few_mb MB, $many photos $many_mb MB"
((many_mb * 100 <= few_mb * 115))
