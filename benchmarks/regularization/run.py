"""Train neural differential equations under every penalty, count their evaluations, time their predictions.

    OMP_NUM_THREADS=1 python -m benchmarks.regularization.run digits --seeds 0 1 2

Each (method, seed) is a row of results/regularization/TASK.jsonl, written when its training is done; what is there is
not trained again. Then all models predict the same batch in turns, and TASK.md and TASK.png are written. Times are
those of the processor, one thread, so that a shared machine disturbs them little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from .classification import Classification, digits, methods, signals
from .digits_sde import DigitsSDE
from .report import write_report
from .rows import Row, find, read_rows, write_rows
from .task import Method, Task, evaluations, predict, train
from .vowels import Vowels

# Weights were piloted with seed 0, at the tasks' full training: of the largest ones at no loss of accuracy. For digits:
# automatic 50, 200, 600; kept 5, 20; stiffness 0.15; taylor 0.5. For signals: automatic 20, 60, 150; kept 1, 4, 12;
# stiffness 0.04, 0.15; taylor 0.1, 0.5.
TASKS: dict[str, Callable[..., Task]] = {
    "digits": partial(
        Classification,
        "digits",
        digits,
        title="Neural ODE on handwritten digits",
        methods=methods(automatic=600.0, kept=5.0, stiffness=0.15, taylor=0.5),
    ),
    "signals": partial(
        Classification,
        "signals",
        signals,
        title="Neural ODE on MNIST-1D signals",
        iterations=800,
        learning_rate=0.01,
        methods=methods(automatic=60.0, kept=4.0, stiffness=0.15, taylor=0.5),
    ),
    "digits_sde": DigitsSDE,
    "vowels": Vowels,
}
RESULTS = Path(__file__).parent.parent / "results" / "regularization"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    task = TASKS[options.task](**({} if options.iterations is None else {"iterations": options.iterations}))
    chosen = [method for method in task.methods if options.methods is None or method.name in options.methods]
    path, weights = options.results / f"{task.name}.jsonl", options.weights / task.name
    for seed in options.seeds:
        for method in chosen:
            if options.weight is not None and method.weight:
                method = replace(method, weight=options.weight)
            _train_row(task, method, seed, path, weights)
    rows = _time_predictions(task, path, weights, options.rounds)
    write_report(task, rows, options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="names as in the table; all by default")
    parser.add_argument("--weight", type=float, help="of the penalties, instead of the task's own")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--rounds", type=int, default=15, help="of timed predictions")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--weights", type=Path, default=Path("runs/regularization"), help="where models are kept")
    return parser.parse_args()


def _train_row(task: Task, method: Method, seed: int, path: Path, weights: Path) -> None:
    asked = {"method": method.name, "weight": method.weight, "seed": seed, "settings": task.settings()}
    rows = read_rows(path)
    file = weights / f"{method.name} {method.weight:g} {seed}.pt"
    if find(rows, **asked) is not None and file.exists():
        return
    trained = train(task, method, seed)
    _save(trained.model, file)
    row = {
        **asked,
        "score": task.evaluate(trained.model),
        **evaluations(task, trained.model),
        "training_seconds": trained.seconds,
        "curve": trained.curve,
        "weights": file.name,
    }
    write_rows(path, [*(old for old in read_rows(path) if find([old], **asked) is None), row])
    print(f"{method.name:20} seed {seed}: {row['score']:.4f}, {row['evaluations']:.1f} evaluations", flush=True)


def _save(model: nn.Module, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), file.with_suffix(".partial"))
    os.replace(file.with_suffix(".partial"), file)


def _time_predictions(task: Task, path: Path, weights: Path, rounds: int) -> list[Row]:
    """The median time of one prediction, the models taking turns."""
    rows = read_rows(path)
    models = []
    for row in rows:
        model = task.model()
        model.load_state_dict(torch.load(weights / row["weights"], weights_only=True))
        models.append(model)
    times: list[list[float]] = [[] for _ in models]
    for _ in range(rounds + 1):
        for model, taken in zip(models, times):
            begin = time.process_time()
            predict(task, model)
            taken.append(time.process_time() - begin)
    for row, taken in zip(rows, times):
        row["prediction_seconds"] = statistics.median(taken[1:])  # the first round warms up
    write_rows(path, rows)
    return rows


if __name__ == "__main__":
    main()
