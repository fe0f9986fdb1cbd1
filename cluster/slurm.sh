#!/usr/bin/env bash
# A scan as a Slurm job: Ray's head on the first node, workers on the others, one driver. From a folder that all nodes
# share, with crater-ray on the PATH (or CRATER_RAY_BIN naming the folder that it is in):
#   sbatch cluster/slurm.sh SOURCE --out RUN [further options of crater-ray scan]
# Stopped, preempted or requeued, the same job goes on where it was. See cluster/README.md.
#SBATCH --job-name=crater-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --no-kill
#SBATCH --signal=B:TERM@120
set -euo pipefail
umask 077

if [ "$#" -lt 3 ]; then
    echo "usage: sbatch cluster/slurm.sh SOURCE --out RUN [options of crater-ray scan]" >&2
    exit 2
fi
if [ -n "${CRATER_RAY_BIN:-}" ]; then
    export PATH="$CRATER_RAY_BIN:$PATH"
fi

# A token for this job alone, in a file that only this user may read; never in an argument or in the job's record.
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_TOKEN
mkdir -p "$HOME/.ray/crater-ray"
export RAY_AUTH_TOKEN_PATH="$HOME/.ray/crater-ray/slurm-$SLURM_JOB_ID"
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname -I | awk '{print $1}')
address=$ip:$((20000 + SLURM_JOB_ID % 10000))

# shellcheck disable=SC2329  # the trap calls it
end() {
    # shellcheck disable=SC2046  # one word for each process
    kill $(jobs -p) 2> /dev/null || true
    wait || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap end EXIT

# A step gets the node's processors and GPUs as they are: Ray gives them out itself.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap --cpu-bind=none \
    ray start --head --block --node-ip-address="$ip" --port="${address##*:}" --dashboard-host=127.0.0.1 &
for _ in $(seq 60); do
    if ray status --address "$address" > /dev/null 2>&1; then
        break
    fi
    sleep 2
done
workers=$((SLURM_JOB_NUM_NODES - 1))
if [ "$workers" -gt 0 ]; then
    srun --nodes="$workers" --ntasks="$workers" --exclude="$head" --overlap --cpu-bind=none \
        --no-kill --kill-on-bad-exit=0 ray start --block --address="$address" &
fi

# Slurm sends TERM two minutes before the time is up, and when it wants the nodes: the scan stops as on Ctrl-C, and the
# job goes back into the queue. A scan that ends by itself ends the job with its own exit code.
asked=
trap 'asked=yes; kill -TERM "$driver" 2> /dev/null || true' TERM
crater-ray scan "$@" --address "$address" &
driver=$!
status=0
wait "$driver" || status=$?
if [ -n "$asked" ]; then
    wait "$driver" || true
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
