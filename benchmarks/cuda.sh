#!/usr/bin/env bash
# The benchmarks that run on a GPU, in order, in about two and a half minutes of an H100; one that fails or is out of
# time leaves the others alone, and the tables of what it has measured.
#
#   benchmarks/cuda.sh [folder [benchmark ...]]      LIMIT=150 PYTHON=python3
#
# LIMIT is the seconds of all together. Results and logs go to the folder, benchmarks/results by default.
out=$(realpath -m "${1:-$(dirname "$0")/results}")
shift
chosen=" ${*:-ode_solvers poseidon sde_solvers adjoint_memory} "
limit=${LIMIT:-150}
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"

run() {
    local name=$1 begin=$SECONDS left=$((limit - SECONDS)) code
    shift
    [[ $chosen == *" $name "* ]] || return 0
    if ((left < 10)); then
        echo "$name: out of time"
        return 0
    fi
    timeout "$left" "${PYTHON:-python3}" "benchmarks/$name.py" --device cuda --out "$out" "$@" >"$out/$name.log" 2>&1
    code=$?
    echo "$name: exit $code after $((SECONDS - begin)) s"
    ((code == 0)) || tail -n 5 "$out/$name.log"
    [[ ! -f $out/${name}_cuda.md ]] || cat "$out/${name}_cuda.md"
}

run ode_solvers --only vdp:256 vdp:65536 neural:16384 --repeats 2 \
    --without "ours vern7" "ours compiled" "ours compiled vern7" "torchode compiled"
run poseidon --sizes T B --batch 40 16 --dtype float32 bf16 --compiled T:bf16 --repeats 5
run sde_solvers --only neural:16384 training:16384 --repeats 2 \
    --without "sciml SRIW1" "sciml STOCHASTIC_HEUN" "torchsde heun, tuned" "torchsde srk, tuned"
run adjoint_memory --steps 16 64 --repeats 1
