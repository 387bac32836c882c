"""Poseidon's claim in miniature: does pretraining on fluids save samples on physics the model has not seen?

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run data
    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run pretrain
    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run finetune [--device cuda --jobs 12] [--tasks wave heat]
    python -m benchmarks.pretraining.run report

A tiny scalable operator transformer learns incompressible and compressible flows, all pairs of frames; then waves,
Allen-Cahn, heat conduction and FitzHugh-Nagumo from 2 to 32 trajectories. Beside it the same network from scratch, and
FNO: the same pairs, the same number of updates, each with the learning rate that was best for it in a pilot. The error
is the median over 64 test trajectories of the relative L1 error, in normalised units, of one step over the whole
trajectory. Each training is a row of results/pretraining/rows.jsonl, and is not done again. Pretraining takes about 45
minutes of one core; killed, it goes on where it was. Finetuning takes a GPU minutes, as all trainings of one network
and task are one computation there (together.py), and two cores a day.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from sciml.operators import Poseidon
from sciml.training import fit

from .data import TASKS, make_files, pretraining_pairs
from .finetuning import ARCHITECTURE, BATCH, FOLDER, MODELS, SAMPLES, UPDATES, finetune, finetune_together, settings
from .report import write_report

RESULTS = Path(__file__).parent.parent / "results" / "pretraining"


def pretrain(updates: int, device: str) -> None:
    """Train on the fluids, and keep the model in the published layout."""
    torch.manual_seed(0)
    train = pretraining_pairs(FOLDER)
    model = Poseidon(train.channels, architecture=ARCHITECTURE, time_scale=1.0)
    chosen = settings(train, updates, lr=2e-3, batch=2 * BATCH, seed=0, device=device, quiet=False)
    begin = time.process_time()
    result = fit(model, train, settings=chosen, out=FOLDER / "run")
    model.save_pretrained(FOLDER / "model")
    print(f"pretrained in {time.process_time() - begin:.0f} s, loss {result.history[-1].train_loss:.4f}")


def run_rows(args: argparse.Namespace) -> None:
    """Do the trainings that have no row yet, several at a time."""
    args.out.mkdir(parents=True, exist_ok=True)
    pending = _pending(args)
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = []
        for model, task in itertools.product(args.models, args.tasks):  # the longest first
            of = [asked for asked in pending if (asked["task"], asked["model"]) == (task, model)]
            if not of:
                continue
            if args.device.startswith("cuda") and model != "FNO":
                futures.append(pool.submit(finetune_together, of, args.device))
            else:
                futures += [pool.submit(_one, asked, args.device) for asked in of]
        for future in as_completed(futures):
            if future.exception() is not None:
                print(f"failed: {future.exception()!r}", flush=True)
                continue
            for row in future.result():
                _keep(row, args.out)


def _pending(args: argparse.Namespace) -> list[dict[str, Any]]:
    done, pending = read_rows(args.out), []
    for task, model, samples, seed in itertools.product(args.tasks, args.models, SAMPLES, args.seeds):
        asked = {"task": task, "model": model, "samples": samples, "seed": seed}
        asked |= {"updates": args.updates or UPDATES, "lr": args.lr or MODELS[model][1]}
        if not any(asked.items() <= row.items() for row in done):
            pending.append(asked)
    return pending


def _one(asked: dict[str, Any], device: str) -> list[dict[str, Any]]:
    return [finetune(asked, device)]


def _keep(row: dict[str, Any], folder: Path) -> None:
    with (folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    of = f"{row['task']}, {row['model']}, {row['samples']} trajectories, seed {row['seed']}"
    print(f"{of}: {row['error']:.2f} %, {row['seconds']} s", flush=True)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "pretrain", "finetune", "report"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, help=f"10450 of the pretraining, {UPDATES} afterwards by default")
    parser.add_argument("--lr", type=float, help="of the finetuning, instead of each model's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="processes that finetune side by side")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    match args.what:
        case "data":
            make_files(FOLDER)
        case "pretrain":
            pretrain(args.updates or 10450, args.device)
        case "finetune":
            run_rows(args)
        case "report":
            write_report(args.out, read_rows(args.out))


if __name__ == "__main__":
    main()
