#!/usr/bin/env bash
#SBATCH --job-name=stargan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --signal=TERM@120
#SBATCH --requeue
# Trains on several machines under Slurm, one process a GPU:
#
#     sbatch train/slurm.sh train/celeba128.toml --data path/to/celeba --out runs/faces
#
# Two minutes before the time is up, Slurm sends SIGTERM: the run is saved, and continues where
# it stopped when the job is queued again. With a recipe, --resume starts anew if there is no run yet.
set -euo pipefail
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun \
    --nnodes="$SLURM_NNODES" \
    --nproc-per-node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend=c10d \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-endpoint="$head_node:${PORT:-29500}" \
    -m stargan_deploy train "$@" --resume
