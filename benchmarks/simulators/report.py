"""The table of the study, and what a rollout's error costs as a picture."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from sciml.plots import style

Rows = list[dict[str, Any]]

COLUMNS = {
    "mse": ("rollout MSE", 1e4, "1e-4"),
    "mse20": ("of 20 frames", 1e4, "1e-4"),
    "last": ("distance at the end", 1e2, "1e-2"),
    "chamfer": ("Chamfer at the end", 1e4, "1e-4"),
    "energy": ("energy error", 1.0, "1"),
    "ms": ("ms a frame", 1.0, ""),
}


def write_report(rows: Rows, out: Path) -> str:
    """Write report.md and report.png beside the rows; returns the text."""
    lines = [
        "# Learned simulators of particles",
        "",
        "`python -m benchmarks.simulators.run train`; what it is about is at its head. Means and standard deviations "
        "over the seeds; the box has side 1.",
    ]
    for task in dict.fromkeys(row["task"] for row in rows):
        lines += ["", f"## {task}", "", _header(), "|---|" + "---|" * (len(COLUMNS) + 2)]
        own = [row for row in rows if row["task"] == task]
        lines += [_line(name, [row for row in own if row["model"] == name]) for name in _names(own)]
    text = "\n".join([*lines, ""])
    (out / "report.md").write_text(text)
    draw(rows, out / "report.png")
    return text


def draw(rows: Rows, path: Path) -> None:
    """Error against time of a frame of 1,000 points on one core, a mark for each seed; lines need no network."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = style.new_figure(4.2 * len(tasks), 3.8)
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks):
        style.dress(axes, xlabel="milliseconds a frame", ylabel=f"rollout MSE, {task}")
        for k, name in enumerate(_names(rows)):
            own = [row for row in rows if row["task"] == task and row["model"] == name]
            errors, colour = [row["mse"] for row in own], style.COLOURS[k]
            if own and "seconds" not in own[0]:
                axes.axhline(errors[0], color=colour, linestyle="--", label=name)
            elif own:
                times = [row["ms"] for row in own]
                axes.plot(times, errors, linestyle="", marker=style.MARKERS[k], color=colour, label=name)
        axes.set_xlim(0, None)
        axes.set_ylim(0, None)
    style.label_above(panels[0], columns=1)
    figure.savefig(path)


def _names(rows: Rows) -> list[str]:
    order = ["GIOROM, grid decoder", "GIOROM, reference decoder", "GNS", "constant velocity", "free fall"]
    return sorted({row["model"] for row in rows}, key=order.index)


def _header() -> str:
    names = [f"{name} ({unit})" if unit not in ("", "1") else name for name, _, unit in COLUMNS.values()]
    return "| | seeds | " + " | ".join(names) + " | trained, min |"


def _line(name: str, rows: Rows) -> str:
    cells = [_mean([row[key] * scale for row in rows]) for key, (_, scale, _) in COLUMNS.items()]
    trained = _mean([row["seconds"] / 60 for row in rows]) if "seconds" in rows[0] else ""
    return f"| {name} | {len(rows)} | " + " | ".join(cells) + f" | {trained} |"


def _mean(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.3g}"
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean
