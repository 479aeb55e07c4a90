#!/usr/bin/env bash
# Checks `stargan-deploy bench compare` on real measurements: runs the benchmark of the demo model,
# plants a delay in some of the runs, and looks at the exit codes. Two runs without a delay and one
# of 3 % must not be a regression, one of 20 % must; one in twenty may be wrong.
# Wants a machine with nothing else to do. Two minutes a repetition:
#
#     benchmarks/compare_live.sh [repetitions] [seconds a run]
set -euo pipefail
repetitions=${1:-1}
seconds=${2:-15}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" # no runs and no recipes here: the demo model is measured
cat >recipe.toml <<'TOML'
backends = ["eager", "onnx"]
precisions = ["fp32"]
batch_sizes = [1]
paths = ["host to host"]
offline = false
memory = "none"
roofline = false
TOML

# Runs the benchmark in a process of its own, every call longer by a share of itself.
bench() { # folder of results, share
    python - "$2" bench recipe.toml --budget "$seconds" --out "$1" --quiet >/dev/null <<'PYTHON'
import sys
import time

from stargan_deploy.cli import main
from stargan_deploy.backends.base import Runtime

share = float(sys.argv.pop(1))
undelayed = Runtime.run


def run(self, *inputs, **options):
    start = time.perf_counter()
    outputs = undelayed(self, *inputs, **options)
    end = time.perf_counter() + share * (time.perf_counter() - start)
    while time.perf_counter() < end:
        pass
    return outputs


Runtime.run = run
main()
PYTHON
}

checks=0
wrong=0
expect() { # exit code, words, folder of results
    local code=0
    stargan-deploy bench compare plain "$3" || code=$?
    if ((code > 1)); then
        exit "$code"
    fi
    checks=$((checks + 1))
    if ((code != $1)); then
        wrong=$((wrong + 1))
        echo "$2: WRONG"
    else
        echo "$2: as it must be"
    fi
    echo
}

for ((i = 1; i <= repetitions; i++)); do
    bench plain 0
    bench again 0
    bench three 0.03
    bench twenty 0.20
    expect 0 "no delay, no regression" again
    expect 0 "a delay of 3 %, no regression" three
    expect 1 "a delay of 20 %, a regression" twenty
done
echo "$wrong of $checks wrong"
((wrong * 20 <= checks))
