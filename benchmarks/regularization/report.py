"""The table and the picture of a task's rows."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from statistics import mean, stdev

import torch

from .rows import Row, find
from .task import Task

BASE = "vanilla"


def write_report(task: Task, rows: list[Row], folder: Path) -> None:
    """Write TASK.md and, where there is a row without a penalty to compare with, TASK.png."""
    _replace(folder / f"{task.name}.md", _page(task, rows))
    _draw(task, rows, folder / f"{task.name}.png")


def _page(task: Task, rows: list[Row]) -> str:
    header = (
        "method",
        "weight",
        "seeds",
        task.score,
        "evaluations a sample",
        "ratio",
        "slowest",
        "ratio",
        "prediction ms",
        "faster",
        "training s",
    )
    lines = [
        f"# {task.name}: evaluations and time of prediction under each penalty",
        "",
        f"`OMP_NUM_THREADS=1 python -m benchmarks.regularization.run {task.name}`; torch {torch.__version__}, "
        f"{platform.machine()}, {os.cpu_count()} cores, one thread; times of the processor. Mean and deviation over "
        f"the seeds; ratios are those to {BASE} of the same seed. Evaluations: of the vector field, on one fixed "
        "batch, every sample with its own steps; the slowest sample's are the calls that the batch takes.",
        "",
        "Settings: " + ", ".join(f"{name} {value}" for name, value in task.settings().items()) + ".",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
    ]
    for name, weight in dict.fromkeys((row["method"], row["weight"]) for row in rows):
        lines.append("| " + " | ".join(_cells(rows, name, weight)) + " |")
    return "\n".join(lines) + "\n"


def _cells(rows: list[Row], name: str, weight: float) -> list[str]:
    own = [row for row in rows if row["method"] == name and row["weight"] == weight]
    return [
        name,
        f"{weight:g}" if weight else "",
        str(len(own)),
        _spread([row["score"] for row in own], 4),
        _spread([row["evaluations"] for row in own], 1),
        _ratio(rows, own, "evaluations"),
        _spread([row["evaluations_slowest"] for row in own], 1),
        _ratio(rows, own, "evaluations_slowest"),
        _spread([1e3 * row["prediction_seconds"] for row in own], 1),
        _ratio(rows, own, "prediction_seconds", inverse=True),
        _spread([row["training_seconds"] for row in own], 0),
    ]


def _spread(values: list[float], digits: int) -> str:
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}"


def _ratio(rows: list[Row], own: list[Row], column: str, inverse: bool = False) -> str:
    ratios = []
    for row in own:
        base = find(rows, method=BASE, seed=row["seed"])
        if base is not None:
            ratios.append(base[column] / row[column] if inverse else row[column] / base[column])
    return f"{_spread(ratios, 2)}x" if ratios else ""


def _draw(task: Task, rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for number, (name, weight) in enumerate(dict.fromkeys((row["method"], row["weight"]) for row in rows)):
        own = [row for row in rows if row["method"] == name and row["weight"] == weight]
        style = {"color": f"C{number}", "marker": "osD^vPX*<>"[number % 10]}
        label = f"{name} ({weight:g})" if weight else name
        left.plot([row["evaluations"] for row in own], [row["score"] for row in own], ls="", label=label, **style)
        iterations = [point["iteration"] for point in own[0]["curve"]]
        curves = [[point["evaluations"] for point in row["curve"]] for row in own]
        right.plot(iterations, [mean(column) for column in zip(*curves)], ms=4, **style)
    left.set(xlabel="evaluations a sample", ylabel=task.score, title="each point one seed")
    right.set(xlabel="iteration", ylabel="evaluations a sample", title="over the training, mean of the seeds")
    left.legend(fontsize=8)
    beside = path.with_suffix(".partial.png")
    figure.savefig(beside, dpi=110)
    plt.close(figure)
    os.replace(beside, path)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(text)
    os.replace(beside, path)
