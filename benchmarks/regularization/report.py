"""The table and the picture of a task's rows."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .rows import Row, find
from .task import Task

BASE = "vanilla"
CLAIMED = (0.556, 0.733)  # evaluations over vanilla's, of the abstract of Pal et al., 2023


def write_report(task: Task, rows: list[Row], folder: Path) -> None:
    """Write TASK.md and TASK.png, the methods in the task's order."""
    names = [method.name for method in task.methods]
    rows = sorted(rows, key=lambda row: (names.index(row["method"]), row["weight"], row["seed"]))
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
    ratios = _ratios(rows, own, column, inverse)
    return f"{_spread(ratios, 2)}x" if ratios else ""


def _ratios(rows: list[Row], own: list[Row], column: str, inverse: bool = False) -> list[float]:
    """To the row without a penalty of the same seed."""
    bases = [(row, find(rows, method=BASE, seed=row["seed"])) for row in own]
    pairs = [(row[column], base[column]) for row, base in bases if base is not None]
    return [base / value if inverse else value / base for value, base in pairs]


def _draw(task: Task, rows: list[Row], path: Path) -> None:
    figure = Figure(figsize=(14, 5), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=(4, 4, 4))
    groups = [
        _Group(name, weight, [row for row in rows if (row["method"], row["weight"]) == (name, weight)], f"C{number}")
        for number, (name, weight) in enumerate(dict.fromkeys((row["method"], row["weight"]) for row in rows))
    ]
    _draw_scores(panels[0], groups, task.score)
    _draw_training(panels[1], groups)
    _draw_gains(panels[2], groups, rows)
    figure.suptitle(f"{task.title}: what penalties of the solver's error buy", fontsize=13)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    beside = path.with_suffix(".partial.png")
    figure.savefig(beside, dpi=110)
    os.replace(beside, path)


@dataclass(frozen=True)
class _Group:
    """The rows of one method and weight, and their colour."""

    name: str
    weight: float
    rows: list[Row]
    color: str

    @property
    def label(self) -> str:
        return f"{self.name} ({self.weight:g})" if self.weight else self.name


def _draw_scores(panel: Axes, groups: list[_Group], score: str) -> None:
    """Small points are seeds, large ones their means; the band is the spread of the seeds without a penalty."""
    for group in groups:
        evaluations, scores = ([row[column] for row in group.rows] for column in ("evaluations", "score"))
        panel.plot(evaluations, scores, "o", ms=4, alpha=0.55, color=group.color)
        panel.plot(mean(evaluations), mean(scores), "o", ms=11, mec="white", color=group.color, label=group.label)
        if group.name == BASE and len(scores) > 1:
            panel.axhspan(min(scores), max(scores), color=group.color, alpha=0.12, lw=0)
    panel.set(xlabel="evaluations a sample", ylabel=score, title="score against cost (band: vanilla's seeds)")
    panel.set_xlim(0, 1.08 * max(row["evaluations"] for group in groups for row in group.rows))
    panel.grid(alpha=0.25)


def _draw_training(panel: Axes, groups: list[_Group]) -> None:
    for group in groups:
        iterations = [point["iteration"] for point in group.rows[0]["curve"]]
        curves = [[point["evaluations"] for point in row["curve"]] for row in group.rows]
        panel.plot(iterations, [mean(column) for column in zip(*curves)], color=group.color, lw=2)
    panel.set(xlabel="iteration", ylabel="evaluations a sample", title="cost over the training (mean of the seeds)")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25)


def _draw_gains(panel: Axes, groups: list[_Group], rows: list[Row]) -> None:
    """Bars are evaluations over those of vanilla; beside them, how much faster the batch is predicted."""
    shown = [group for group in groups if group.name != BASE and _ratios(rows, group.rows, "evaluations")]
    for place, group in enumerate(shown):
        ratio = mean(_ratios(rows, group.rows, "evaluations"))
        faster = mean(_ratios(rows, group.rows, "prediction_seconds", inverse=True))
        panel.barh(place, ratio, color=group.color)
        text = panel.text(ratio + 0.03, place, f"{ratio:.2f}x, at {faster:.2f}x the speed", va="center", fontsize=9)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})  # over the line and the band
    panel.axvspan(*CLAIMED, color="gray", alpha=0.18, lw=0, zorder=0)
    panel.axvline(1, color="gray", lw=1)
    panel.set_yticks(range(len(shown)), [group.name for group in shown])
    panel.invert_yaxis()
    panel.set(xlabel="evaluations over vanilla's", xlim=(0, 1.9), title="saved (band: the 2023 paper's 0.55-0.75)")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(text)
    os.replace(beside, path)
