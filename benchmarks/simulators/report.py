"""The table of the study."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

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
    """Write report.md beside the rows; returns its text."""
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
    return text


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
