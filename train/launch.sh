#!/usr/bin/env bash
# Trains on all GPUs of this machine, one process each:
#
#     train/launch.sh train/celeba128.toml --data path/to/celeba --out runs/faces
#
# NUM_PROCESSES sets another number, as for a machine without a GPU. The batch size is that of all
# processes together; a run can be resumed with another number of them.
set -euo pipefail
exec torchrun --standalone --nproc-per-node="${NUM_PROCESSES:-gpu}" -m stargan_deploy train "$@"
