"""The picture of the ODE benchmark: time against error, one panel a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STYLES = {"sciml": ("C3", "o"), "diffrax": ("C0", "s"), "torchode": ("C2", "^"), "torchdiffeq": ("C1", "D")}


def draw(rows: Sequence[Any], path: Path) -> None:
    """Write the picture of rows with ``task``, ``candidate``, ``best_ms`` and ``error``; better is lower and left."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(row.task for row in rows))
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(5 * columns, 4.2 * lines), layout="constrained", squeeze=False)
    for axis, task in zip(axes.flat, tasks):
        for row in rows:
            if row.task != task or row.best_ms is None:
                continue
            maker, _, rest = row.candidate.partition(" ")
            color, marker = _STYLES.get(maker, ("C7", "x"))
            compiled = "compiled" in rest or "jit" in rest
            axis.plot(row.best_ms, row.error, marker, color=color, mfc=color if compiled else "none", ms=7)
            name = rest.replace(" compiled", "").replace(" jit", "").replace(" eager", "")  # the marker says that
            place = {"xytext": (5, 3), "textcoords": "offset points"}
            axis.annotate(name, (row.best_ms, row.error), fontsize=6.5, color=color, **place)
        axis.set(xscale="log", yscale="log", xlabel="ms", ylabel="error", title=task)
        axis.title.set_fontsize(9)
        axis.margins(x=0.25, y=0.15)
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    handles = [plt.Line2D([], [], color=c, marker=m, ls="", label=name) for name, (c, m) in _STYLES.items()]
    handles.append(
        plt.Line2D([], [], color="0.4", marker="o", ls="", mfc="none", label="open: eager, filled: compiled")
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    beside = path.with_suffix(".partial.png")
    figure.savefig(beside, dpi=110)
    plt.close(figure)
    os.replace(beside, path)
