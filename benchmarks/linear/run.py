"""Solvers that tune themselves: the experiments of Khodak, Chow, Balcan, Talwalkar, "Learning to Relax", ICLR 2024.

    OMP_NUM_THREADS=1 python -m benchmarks.linear.run offsets [--trials 10]
    OMP_NUM_THREADS=1 python -m benchmarks.linear.run heat [--nx 25 50 100 200] [--trials 3]
    OMP_NUM_THREADS=1 python -m benchmarks.linear.run beyond [--trials 3]
    python -m benchmarks.linear.run report

``offsets``: 5,000 shifted Laplacians of a 10 x 10 grid by SOR, with offsets of high and of low variance. ``heat``:
5,000 steps of heat in a square by Crank-Nicolson and SSOR-PCG. ``beyond``: what the paper does not have, see beyond.py.
Seconds are processor time of whole simulations, one after another in one process of one thread. Results are in
results/linear: numbers, report.md, and pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from . import beyond, heat, offsets
from .report import write_report

RESULTS = Path(__file__).parent.parent / "results" / "linear"
_JOINT = {100: 5000, 200: 5000, 400: 1000}
"""Steps on grids of nx cells, of what learns the method too."""

_SHARED = (25, 50)
_HINDSIGHT, _DIRECT = 100, 100
"""Largest nx at which all arms are tried in each step, and from which on the direct solver takes every 50th step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("offsets", "heat", "beyond", "report"))
    parser.add_argument("--rounds", type=int, default=5000)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--nx", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "offsets":
        _write(args.out / "offsets.json", offsets.study(args.rounds, args.trials))
    elif args.what == "heat":
        for nx in args.nx:
            _write(args.out / f"heat-{nx}.json", simulate_all(nx, args.rounds, args.trials))
    elif args.what == "beyond":
        rows = {"joint": [row for nx, steps in _JOINT.items() for row in beyond.joint(nx, steps, args.trials)]}
        rows["shared"] = [row for nx in _SHARED for row in beyond.shared(nx, args.rounds, 32)]
        _write(args.out / "beyond.json", rows)
    print(write_report(args.out))


def simulate_all(nx: int, steps: int, trials: int) -> dict[str, Any]:
    """Every method on one grid; learners several times."""
    problem, methods = heat.Problem(nx), {}
    heat.simulate(problem, heat.Counting(heat.SSORPCG(1.5)), min(steps, 100))  # compiled kernels, warm caches
    kept: dict[str, Any] = {}
    for name, make in heat.candidates().items():
        learns = not name.startswith(("CG", "omega"))
        runs = []
        for seed in range(trials if learns else 1):
            counting = make(seed)
            runs.append(heat.simulate(problem, counting, steps))
            print(nx, name, runs[-1], flush=True)
            if name == "ChebCB" and seed == 0:
                kept = {"iterations": counting.iterations, "omegas": counting.omegas}
        methods[name] = runs
    every = 50 if nx >= _DIRECT else 5
    methods["sparse direct"] = [heat.direct(problem, steps, every)]
    if nx <= _HINDSIGHT:
        methods |= {name: [row] for name, row in heat.hindsight(problem, steps).items()}
    return {"nx": nx, "steps": steps, "methods": methods, "ChebCB": kept}


def _write(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(content) + "\n")
    beside.replace(path)


if __name__ == "__main__":
    main()
