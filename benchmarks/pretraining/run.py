"""Poseidon's claim in miniature: does pretraining on fluids save samples on physics the model has not seen?

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run data
    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run pretrain
    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.run finetune [--tasks wave heat] [--seeds 0 1 2]
    python -m benchmarks.pretraining.run report

A tiny scalable operator transformer learns incompressible and compressible flows, all pairs of frames; then waves,
Allen-Cahn, heat conduction and FitzHugh-Nagumo from 2 to 32 trajectories. Beside it the same network from scratch, and
FNO: the same pairs, the same number of updates, each with the learning rate that was best for it in a pilot. The error
is the median over 64 test trajectories of the relative L1 error, in normalised units, of one step over the whole
trajectory. Each training is a row of results/pretraining/rows.jsonl, and is not done again; another process may take
other tasks meanwhile. The whole takes hours on two cores; no results are kept here yet.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from sciml.benchmark.gains import gains, gains_table
from sciml.benchmark.scaling import ScalingCurve, curves_table, save_curves
from sciml.benchmark.scaling_figure import scaling_figure
from sciml.datasets.windows import Trajectories
from sciml.metrics.poseidon import median_relative_error
from sciml.operators import FNO, Poseidon, ScOTConfig
from sciml.operators.poseidon import ReplacedWeights
from sciml.training import FitSettings, fit, relative_l1

from .data import TASKS, Task, make_files, pretraining_pairs

ARCHITECTURE = ScOTConfig.preset(
    "T",
    image_size=32,
    patch_size=2,
    embed_dim=24,
    depths=(2, 2),
    num_heads=(3, 6),
    skip_connections=(1, 0),
    window_size=8,
    learn_residual=True,
)
SAMPLES = (2, 8, 32)
UPDATES, BATCH = 300, 16
RESULTS = Path(__file__).parent.parent / "results" / "pretraining"
FOLDER = Path("runs/pretraining")


def pretrained(task: Task, train: Trajectories) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplacedWeights)
        model = Poseidon.from_pretrained(FOLDER / "model", channels=train.channels)
    return _timed(model, task)


def scratch(task: Task, train: Trajectories) -> nn.Module:
    return _timed(Poseidon(train.channels, architecture=ARCHITECTURE), task)


def fno(task: Task, train: Trajectories) -> nn.Module:
    return FNO(train.channels, modes=12, width=16)


def _timed(model: Poseidon, task: Task) -> Poseidon:
    model.time_scale = task.duration
    return model


# The model, and its learning rate: from a pilot on heat with 8 trajectories of seed 0, of 1e-3, 2e-3, 4e-3 and 8e-3
# from scratch (4e-3 was best), and of 1e-3 and 2e-3 for FNO; the pretrained one has half of the former.
MODELS: dict[str, tuple[Callable[[Task, Trajectories], nn.Module], float]] = {
    "pretrained": (pretrained, 2e-3),
    "from scratch": (scratch, 4e-3),
    "FNO": (fno, 2e-3),
}


def pretrain(updates: int) -> None:
    """Train on the fluids, and keep the model in the published layout; killed, it goes on where it was."""
    torch.manual_seed(0)
    train = pretraining_pairs(FOLDER)
    model = Poseidon(train.channels, architecture=ARCHITECTURE, time_scale=1.0)
    settings = _settings(train, updates, lr=2e-3, batch=2 * BATCH, seed=0, quiet=False)
    begin = time.process_time()
    result = fit(model, train, settings=settings, out=FOLDER / "run")
    model.save_pretrained(FOLDER / "model")
    print(f"pretrained in {time.process_time() - begin:.0f} s, loss {result.history[-1].train_loss:.4f}")


def finetune(task: Task, name: str, samples: int, seed: int, lr: float | None = None) -> dict[str, object]:
    """Train one model on some trajectories of one task; its row."""
    build, usual = MODELS[name]
    train = task.train(samples, seed)
    torch.manual_seed(seed)
    model = build(task, train)
    begin = time.process_time()
    fit(model, train, settings=_settings(train, UPDATES, lr=lr or usual, batch=BATCH, seed=seed))
    seconds = time.process_time() - begin
    return {
        "task": task.name,
        "model": name,
        "samples": samples,
        "seed": seed,
        "error": test_error(model, task),
        "seconds": round(seconds, 1),
        "updates": UPDATES,
        "lr": lr or usual,
    }


def _settings(
    train: Trajectories, updates: int, *, lr: float, batch: int, seed: int, quiet: bool = True
) -> FitSettings:
    epochs = max(1, round(updates * batch / len(train)))
    return FitSettings(
        epochs=epochs, batch_size=batch, lr=lr, loss=relative_l1, clip_norm=5.0, seed=seed, quiet=quiet, device="cpu"
    )


@torch.no_grad()
def test_error(model: nn.Module, task: Task) -> float:
    """Median relative L1 error in percent of one step over the whole trajectory, over all that changes."""
    model.eval()
    first, last = task.test.unbind(1)
    t = torch.zeros(len(first))
    y = torch.cat(
        [model(t[k : k + 16], t[k : k + 16] + task.duration, first[k : k + 16]).y for k in range(0, len(t), 16)]
    )
    changing = [k for k, channel in enumerate(model.channels) if not channel.static]
    encoded = [model.normalization.encode(u)[:, None, changing] for u in (y, last)]
    return float(median_relative_error(*encoded, groups=(len(changing),)))


def run(args: argparse.Namespace) -> None:
    """Do the trainings that have no row yet."""
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for name in args.tasks:
            task = Task.of(name, FOLDER)
            for samples in SAMPLES:
                for model in args.models:
                    asked = {"task": name, "model": model, "samples": samples, "seed": seed, "updates": UPDATES}
                    if any(asked.items() <= row.items() for row in read_rows(args.out)):
                        continue
                    row = finetune(task, model, samples, seed)
                    with (args.out / "rows.jsonl").open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(f"{name}, {model}, {samples} trajectories, seed {seed}: {row['error']:.2f} %", flush=True)


def read_rows(folder: Path) -> list[dict[str, object]]:
    path = folder / "rows.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def report(folder: Path) -> None:
    """Curves of the mean over seeds, the paper's table, and a picture for each task."""
    rows, curves = read_rows(folder), []
    for task in TASKS:
        for model in MODELS:
            keys = [(task, model, samples) for samples in SAMPLES]
            found = [[float(r["error"]) for r in rows if (r["task"], r["model"], r["samples"]) == key] for key in keys]
            if all(found):
                curves.append(ScalingCurve(task, model, SAMPLES, tuple(statistics.mean(errors) for errors in found)))
    save_curves(folder / "curves.json", curves)
    bases = {curve.task: curve for curve in curves if curve.model == "FNO"}
    compared = [
        gains(curve, bases[curve.task], accuracy_samples=SAMPLES[1], efficiency_samples=SAMPLES[-1])
        for curve in curves
        if curve.model != "FNO"
    ]
    for task in bases:
        of_task = [curve for curve in curves if curve.task == task]
        figure = scaling_figure(of_task, efficiency_samples=SAMPLES[-1])
        figure.savefig(folder / f".{task}.partial.png", dpi=110)
        os.replace(folder / f".{task}.partial.png", folder / f"{task}.png")
    seeds = sorted({int(row["seed"]) for row in rows})
    text = (
        f"# Pretraining in miniature\n\n`python -m benchmarks.pretraining.run`; seeds {seeds}, {UPDATES} updates of "
        f"{BATCH} pairs. EG: {SAMPLES[-1]} trajectories over those with which a model is as good as FNO with "
        f"{SAMPLES[-1]}; AG: FNO's error over the model's, with {SAMPLES[1]}.\n\n"
        f"{gains_table(compared)}\nMedian relative L1 error in percent, mean over the seeds:\n\n{curves_table(curves)}"
    )
    (folder / "report.md").write_text(text)
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "pretrain", "finetune", "report"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=3000, help="of the pretraining")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    match args.what:
        case "data":
            make_files(FOLDER)
        case "pretrain":
            pretrain(args.updates)
        case "finetune":
            run(args)
        case "report":
            report(args.out)


if __name__ == "__main__":
    main()
