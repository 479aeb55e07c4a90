#!/usr/bin/env bash
# Trains on all GPUs of this machine, one process each:
#
#     train/launch.sh train/celeba128.toml --data path/to/celeba --out runs/faces
#
# NUM_PROCESSES sets another number, as for a machine without a GPU. The batch size is that of all
# processes together; a run can be resumed with another number of them.
set -euo pipefail
if [ -z "${NUM_PROCESSES:-}" ] && ! nvidia-smi -L >/dev/null 2>&1; then
    echo "launch.sh: this machine has no NVIDIA GPU; set the number of processes: NUM_PROCESSES=2 $0 ..." >&2
    exit 7
fi
exec torchrun --standalone --nproc-per-node="${NUM_PROCESSES:-gpu}" -m stargan_deploy train "$@"
