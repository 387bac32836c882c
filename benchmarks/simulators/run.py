"""Learned simulators of particles: does a sparse sample with a dense decoder do what a full graph does, for less?

    OMP_NUM_THREADS=1 python -m benchmarks.simulators.run data
    OMP_NUM_THREADS=1 python -m benchmarks.simulators.run train [--tasks elastic sand] [--jobs 2]
    python -m benchmarks.simulators.run report

Bodies of 1,000 points fall into a box, a new one in each trajectory: its shape, place, velocity, spin and material.
GNS passes messages between all points; GIOROM steps 200 of them, and a decoder that is trained once moves all. Both
learn for about the same processor time, with the same noise, rate and batch. Errors are of all points over the 75
frames after the six that are given, on eight trajectories of bodies that neither has seen, from a rollout without any
truth in between. Each training is a row of results/simulators/rows.jsonl, and is not done again.
"""

from __future__ import annotations

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from .evaluation import ballistic, constant_velocity, evaluate, rollout, sparse_rollout
from .report import write_report
from .task import TASKS
from .training import DECODERS, Budget, train, train_decoder

RESULTS = Path(__file__).parent.parent / "results" / "simulators"
UPDATES = {"GNS": 1500, "GIOROM": 5000}
"""About a quarter of an hour of one core for each."""

BASELINES = {"constant velocity": constant_velocity, "free fall": ballistic}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("data", "train", "report"))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=list(UPDATES), default=list(UPDATES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where the networks learn; they are judged on the CPU")
    parser.add_argument("--updates", type=int, help="of each network, instead of UPDATES")
    parser.add_argument("--batch", type=int, default=2, help="windows of an update")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.what == "data":
        for name in args.tasks:
            TASKS[name].make()
    elif args.what == "train":
        run_rows(args)
    else:
        print(write_report(read_rows(args.out), args.out))


def run_rows(args: argparse.Namespace) -> None:
    """Do the trainings that have no row yet, several at a time."""
    args.out.mkdir(parents=True, exist_ok=True)
    done = {(row["task"], row["network"], row["seed"]) for row in read_rows(args.out)}
    asked = [(task, name, seed) for seed, task, name in itertools.product(args.seeds, args.tasks, args.models)]
    asked += [(task, name, 0) for task, name in itertools.product(args.tasks, BASELINES)]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(rows_of, *one, budget_of(one[1], args)) for one in asked if one not in done]
        for future in as_completed(futures):
            with open(args.out / "rows.jsonl", "a", encoding="utf-8") as file:
                for row in future.result():
                    file.write(json.dumps(row) + "\n")
                    print(f"{row['task']}, {row['model']}, seed {row['seed']}: {row['mse']:.3g}", flush=True)


def budget_of(name: str, args: argparse.Namespace) -> Budget:
    """Of the network."""
    return Budget(args.updates or UPDATES.get(name, 0), args.batch, args.device)


def rows_of(task_name: str, name: str, seed: int, budget: Budget) -> list[dict[str, Any]]:
    """Train a network, roll it out, and say how it went: a row for each decoder."""
    torch.set_num_threads(1)
    task = TASKS[task_name]
    row: dict[str, Any] = {"task": task_name, "network": name, "model": name, "seed": seed}
    if name in BASELINES:
        return [row | evaluate(task, BASELINES[name])]
    model, seconds = train(task, name, seed, budget)
    row |= {"seconds": seconds, "updates": budget.updates, "batch": budget.batch, "device": budget.device}
    row["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    if name == "GNS":
        return [row | evaluate(task, partial(rollout, model))]
    rows = []
    for decoder in DECODERS:
        predict = partial(sparse_rollout, model, train_decoder(task, decoder), seed=seed)
        rows.append(row | {"model": f"{name}, {decoder} decoder"} | evaluate(task, predict))
    return rows


def read_rows(out: Path) -> list[dict[str, Any]]:
    """The rows that there are."""
    path = out / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
