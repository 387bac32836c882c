"""What a learner costs beside the solve that it tunes.

    OMP_NUM_THREADS=1 python -m benchmarks.linear.overhead

A round (pull and update) of each learner over 20 arms, in microseconds of processor time, at first and after 5,000
rounds, with contexts in turns; and as part of a cold solve of the Laplacian on 100 x 100 points at its best arm, to
1e-8, by SOR and by SSOR-PCG. Writes overhead.md to results/linear.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sciml.solvers.bandits import Bandit
from sciml.solvers.linear import SOR, SSORPCG, nodal_laplacian

from .learners import Interval, learners

RESULTS = Path(__file__).parent.parent / "results" / "linear"
SOLVERS: dict[str, Callable[[], Any]] = {"SOR": lambda: SOR(1.95), "SSOR-PCG": lambda: SSORPCG(1.8)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    solves = {name: min(solve(make()) for _ in range(args.repeats)) for name, make in SOLVERS.items()}
    lines = [
        "# Learners beside solves",
        "",
        "`python -m benchmarks.linear.overhead`: microseconds a round, and as part of a solve on 100 x 100 points: "
        + ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in solves.items())
        + ".",
        "",
        "| | first 500 rounds | after 5,000 | " + " | ".join(f"of {name}" for name in solves) + " |",
        "|---|---|---|" + "---|" * len(solves),
    ]
    for name, make in learners(Interval(0.0, 1.0, 5, 0.0, 1.0)).items():
        early, late = rounds(make(0))
        shares = " | ".join(f"{late / seconds:.2%}" for seconds in solves.values())
        lines.append(f"| {name} | {1e6 * early:.0f} | {1e6 * late:.0f} | {shares} |")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "overhead.md").write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


def solve(solver: Any) -> float:
    """Seconds of one solve."""
    b = torch.randn(1, 100, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = nodal_laplacian((100, 100))
    solver(matrix, b)
    begin = time.process_time()
    solver(matrix, b)
    return time.process_time() - begin


def rounds(learner: Bandit) -> tuple[float, float]:
    """Seconds a round at first, and after many."""
    found = []
    for count in (500, 4500, 500):
        begin = time.process_time()
        for k in range(count):
            context = 0.01 * (k % 100)
            omega = float(learner.pull(context))
            learner.update(50 + 400 * (omega - 1.3 - context / 2) ** 2)
        found.append((time.process_time() - begin) / count)
    return found[0], found[2]


if __name__ == "__main__":
    main()
