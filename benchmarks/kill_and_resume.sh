#!/usr/bin/env bash
# Kills a training with SIGKILL at random moments, resumes it each time, and compares the end with
# that of an undisturbed one.
# About ten minutes for a hundred on two cores:
#
#     benchmarks/kill_and_resume.sh [number of kills]
set -euo pipefail
kills=${1:-100}
recipe=$(dirname "$0")/../train/smoke.toml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
settings=(--quiet --set "train.steps=$((kills * 40))" --set output.checkpoint_every=1 --set output.log_every=1)
export OMP_NUM_THREADS=1

stargan-deploy train "$recipe" --out "$folder/whole" "${settings[@]}" >/dev/null
for ((i = 1; i <= kills; i++)); do
    stargan-deploy train "$recipe" --resume --out "$folder/killed" "${settings[@]}" >/dev/null &
    sleep "$((RANDOM % 6)).$((RANDOM % 10))"
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
done
stargan-deploy train "$recipe" --resume --out "$folder/killed" "${settings[@]}" >/dev/null
if cmp "$folder/whole/model.safetensors" "$folder/killed/model.safetensors"; then
    echo "$kills kills: the resumed training ended bit-identical"
else
    echo "$kills kills: the resumed training ended differently" >&2
    exit 1
fi
