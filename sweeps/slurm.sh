#!/usr/bin/env bash
# A Ray cluster in one Slurm allocation, for one sweep.
#
#     sbatch sweeps/slurm.sh search_spaces/multilabel.yaml --output /shared/runs
#     sbatch --nodes=8 sweeps/slurm.sh /shared/runs/multilabel    # goes on with it
#
# From the root of a checkout whose .venv every node sees; what follows the search space is for
# `kdray sweep`. Home and output must be on disks that every node sees. Ray's token is made once, in
# ~/.ray/auth_token, and every node takes it from there.
# Five minutes before the time is over the sweep is stopped in order, as by Ctrl-C.
#
#SBATCH --job-name=kdray
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
#SBATCH --signal=B:INT@300
#SBATCH --output=kdray-%j.log
set -euo pipefail
set -m   # else what runs in the background does not hear Ctrl-C

target=${1:?'which search space, or which folder of a sweep?'}
shift
if [[ -d $target ]]; then command=resume; else command=sweep; fi
PATH=$PWD/.venv/bin:$PATH
port=${RAY_PORT:-6379}

export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null
chmod 600 ~/.ray/auth_token

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
on_node() {
  srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodelist="$1" "${@:2}"
}
read -r ip _ < <(on_node "${nodes[0]}" hostname --ip-address)
address=$ip:$port

trap 'jobs -p | sed s/^/-/ | xargs --no-run-if-empty kill -- 2> /dev/null || true' EXIT
on_node "${nodes[0]}" ray start --head --node-ip-address="$ip" --port="$port" \
  --num-cpus="$SLURM_CPUS_PER_TASK" --block &
for node in "${nodes[@]:1}"; do
  on_node "$node" ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done

timeout 300 python - "$address" "${#nodes[@]}" << 'WAIT'
import sys, time, ray
from ray.exceptions import RaySystemError

address, nodes = sys.argv[1], int(sys.argv[2])
while True:
    try:
        ray.init(address=address, log_to_driver=False)
        break
    except (ConnectionError, RaySystemError):
        time.sleep(2)
while sum(node["Alive"] for node in ray.nodes()) < nodes:
    time.sleep(2)
WAIT

kdray "$command" "$target" "$@" --address "$address" &
sweep=$!
trap 'kill -INT "$sweep"' INT
status=0
wait "$sweep" || status=$?
# A signal ends the first wait; the sweep still writes its report.
if kill -0 "$sweep" 2> /dev/null; then status=0; wait "$sweep" || status=$?; fi
exit "$status"
