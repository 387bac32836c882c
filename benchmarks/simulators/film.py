"""A rollout of 100,000 points, of which the network steps 200, beside the material point method.

    OMP_NUM_THREADS=1 python -m benchmarks.simulators.film [--task elastic] [--points 100000] [--network 0]

The networks are those of the study, trained on bodies of 1,000 points. The truth is simulated with all points, on a
finer grid; the network is given the first six frames of some of them, and the decoder the sixth of all. Writes
film-TASK.gif, a strip of six moments and the errors to results/simulators.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sciml.datasets.windows import Trajectories
from sciml.generation.make import make
from sciml.plots import Film, View

from .evaluation import errors, sparse_rollout
from .run import RESULTS, UPDATES
from .task import FOLDER, TASKS, WINDOW
from .training import Budget, train, train_decoder

STRIPE, GAP = 0.06, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), default="elastic")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=5, help="of the body")
    parser.add_argument("--network", type=int, default=0, help="seed of its training")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    task = TASKS[args.task]
    recipe = task.recipe(trajectories=1, size=args.points, seed=args.seed)
    path = make(recipe, FOLDER / f"{task.family}-{args.points}-{args.seed}.h5")
    t, u = Trajectories(path, parameters=task.material)[0]
    model, _ = train(task, "GIOROM", args.network, Budget(UPDATES["GIOROM"]))
    decoder = train_decoder(task, "grid")
    begin = time.process_time()
    found = sparse_rollout(model, decoder, u, t, 2, 0)[0]
    seconds = time.process_time() - begin
    truth = u[WINDOW:, :, :2]
    about = {"network": args.network, "points": args.points, "ms": 1e3 * seconds / len(found)}
    report = errors(found[None], truth[None]) | about
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"film-{args.task}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(report)
    show(truth, found, t[WINDOW:].tolist(), args.out / f"film-{args.task}")


def show(truth: Tensor, found: Tensor, times: list[float], path: Path) -> None:
    """The truth on the left and the rollout on the right, in stripes that move with the body."""
    shift = torch.tensor([1 + GAP, 0.0])
    both = torch.cat([truth, found + shift], dim=1).numpy()
    stripes = (truth[0] / STRIPE).floor().sum(-1).long().numpy() % 2
    view = View((0.0, 0.0), (2 + GAP, 1.0), width=620)
    radius = 0.6 * (0.09 / truth.shape[1]) ** 0.5
    film = Film(both[::2], times[::2], view, radius=radius, kinds=np.concatenate([stripes, stripes + 2]))
    film.save_gif(path.with_suffix(".gif"), frames_per_second=15)
    film.save_strip(path.with_suffix(".png"))


if __name__ == "__main__":
    main()
