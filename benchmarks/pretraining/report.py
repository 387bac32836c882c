"""The study's rows as scaling curves, the paper's table and a picture for each task."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciml.benchmark.gains import gains, gains_table
from sciml.benchmark.scaling import ScalingCurve, curves_table, save_curves
from sciml.benchmark.scaling_figure import scaling_figure

from .data import TASKS
from .finetuning import BATCH, MODELS, SAMPLES, UPDATES


def write_report(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Curves of the mean over the seeds; gains of that mean, and how many seeds agree with it."""
    rows = [row for row in rows if row["updates"] == UPDATES]
    seeds = sorted({row["seed"] for row in rows})
    curves = curves_of(rows)
    save_curves(folder / "curves.json", curves)
    bases = {curve.task: curve for curve in curves if curve.model == "FNO"}
    new = {curve.task: curve for curve in curves if curve.model == "from scratch"}
    over_new = [_gains(curve, new[curve.task]) for curve in curves if curve.model == "pretrained"]
    compared = [_gains(curve, bases[curve.task]) for curve in curves if curve.model != "FNO" and curve.task in bases]
    for task in bases:
        figure = scaling_figure([curve for curve in curves if curve.task == task], efficiency_samples=SAMPLES[-1])
        figure.savefig(folder / f".{task}.partial.png", dpi=110)
        os.replace(folder / f".{task}.partial.png", folder / f"{task}.png")
    devices = ", ".join(sorted({row["device"] for row in rows}))
    text = (
        f"# Pretraining in miniature\n\n`python -m benchmarks.pretraining.run finetune`, {devices}; seeds {seeds}, "
        f"{UPDATES} updates of {BATCH} pairs. EG: {SAMPLES[-1]} trajectories over those with which a model is as good "
        f"as FNO with {SAMPLES[-1]}; AG: FNO's error over the model's, with {SAMPLES[1]}.\n\n{gains_table(compared)}\n"
        f"Of the {len(seeds)} seeds taken alone, so many have EG > 1 / AG > 1:\n\n{_agreement(rows, seeds)}\n"
        f"What pretraining brings, over the same network from scratch:\n\n{gains_table(over_new)}\n"
        f"{_missing(rows, seeds)}Median relative L1 error in percent, mean over the seeds:\n\n{curves_table(curves)}\n"
        f"Standard deviation over the seeds:\n\n{curves_table(curves_of(rows, statistics.stdev))}"
    )
    (folder / "report.md").write_text(text)
    print(text)


def _missing(rows: Sequence[dict[str, Any]], seeds: Sequence[int]) -> str:
    """What has not been trained, with what of it has."""
    lines = []
    for task, model in itertools.product(TASKS, MODELS):
        of = _errors(rows, task, model)
        if all(len(errors) == len(seeds) for errors in of.values()):
            continue
        there = ", ".join(f"{statistics.mean(e.values()):.3g} % with {n} (seeds: {len(e)})" for n, e in of.items() if e)
        lines.append(f"- {model} on {task}: {there or 'nothing'}")
    return "Not complete, and left out of the tables:\n\n" + "\n".join(lines) + "\n\n" if lines else ""


def curves_of(rows: Sequence[dict[str, Any]], over_seeds: Any = statistics.mean) -> list[ScalingCurve]:
    """Points that have every seed, of the tasks and models that have those from which gains are read."""
    seeds = {row["seed"] for row in rows}
    curves = []
    for task, model in itertools.product(TASKS, MODELS):
        found = _errors(rows, task, model)
        points = [(n, over_seeds(errors.values())) for n, errors in found.items() if errors.keys() == seeds]
        if {n for n, _ in points} >= set(SAMPLES[1:]):
            curves.append(ScalingCurve.of(task, model, points))
    return curves


def _errors(rows: Sequence[dict[str, Any]], task: str, model: str) -> dict[int, dict[int, float]]:
    """Of each number of trajectories, the error of each seed that has been trained."""
    of = [row for row in rows if (row["task"], row["model"]) == (task, model)]
    return {n: {row["seed"]: float(row["error"]) for row in of if row["samples"] == n} for n in SAMPLES}


def _gains(curve: ScalingCurve, base: ScalingCurve) -> Any:
    return gains(curve, base, accuracy_samples=SAMPLES[1], efficiency_samples=SAMPLES[-1])


def _agreement(rows: Sequence[dict[str, Any]], seeds: Sequence[int]) -> str:
    """For each task and model, in how many seeds alone the gains exceed 1."""
    models = [model for model in MODELS if model != "FNO"]
    lines = [f"| | {' | '.join(models)} |", "|---" * (len(models) + 1) + "|"]
    per_seed = [{(c.task, c.model): c for c in curves_of([r for r in rows if r["seed"] == seed])} for seed in seeds]
    for task in TASKS:
        if not any((task, "FNO") in of for of in per_seed):
            continue
        cells = []
        for model in models:
            found = [
                _gains(of[task, model], of[task, "FNO"])
                for of in per_seed
                if {(task, model), (task, "FNO")} <= of.keys()
            ]
            efficient = sum(g.efficiency is not None and g.efficiency.value > 1 for g in found)
            accurate = sum(g.accuracy is not None and g.accuracy > 1 for g in found)
            cells.append(f"{efficient} / {accurate}")
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
