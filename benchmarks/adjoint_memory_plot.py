"""The picture of adjoint_memory.py: memory and time against the number of steps, a line for each candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sciml.plots.style import INK, dress, new_figure

if TYPE_CHECKING:
    from adjoint_memory import Row

# Colour, marker and line: one colour for each way to the gradient, broken lines for peers.
LOOKS = {
    "Direct": ("#1A1A1A", "o", "-"),
    "torchdiffeq odeint": ("#8C8C8C", "o", "--"),
    "Interpolated": ("#E69F00", "D", "-"),
    "RecursiveCheckpoint()": ("#0072B2", "s", "-"),
    "RecursiveCheckpoint(16)": ("#0072B2", "^", "-."),
    "RecursiveCheckpoint(4)": ("#0072B2", "v", ":"),
    "diffrax RecursiveCheckpointAdjoint, jit": ("#56B4E9", "s", "--"),
    "ReversibleAdjoint": ("#009E73", "P", "-"),
    "Backsolve": ("#D55E00", "X", "-"),
    "torchdiffeq odeint_adjoint": ("#CC79A7", "X", "--"),
}


def draw(rows: Sequence[Row], path: Path, setting: str) -> None:
    """Two panels with logarithmic axes and one legend."""
    figure = new_figure(11.5, 4.6)
    memory, clock = figure.subplots(1, 2)
    _panel(memory, rows, lambda row: row.peak_bytes / 2**20, "peak memory of tensors [MiB]")
    _panel(clock, rows, lambda row: row.milliseconds / 1e3, "time of forward and backward pass [s]")
    _slopes(memory, rows)
    figure.suptitle(f"Gradient of a {setting}", x=0.01, ha="left", fontsize=11, color=INK)
    lines, labels = memory.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside right center", frameon=False, fontsize=9, labelspacing=0.9)
    figure.savefig(path)


def _panel(axes: Axes, rows: Sequence[Row], value: Callable[[Row], float], label: str) -> None:
    for name, (colour, marker, style) in LOOKS.items():
        mine = sorted((row for row in rows if row.candidate == name), key=lambda row: row.steps)
        if mine:
            x, y = [row.steps for row in mine], [value(row) for row in mine]
            axes.plot(x, y, color=colour, marker=marker, linestyle=style, markersize=5, linewidth=1.5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    dress(axes, xlabel="steps", ylabel=label)
    axes.xaxis.set_major_locator(FixedLocator(sorted({row.steps for row in rows})))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda steps, _: f"{steps:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))


def _slopes(axes: Axes, rows: Sequence[Row]) -> None:
    """Short guides: memory as the steps, and as their root."""
    steps = sorted({row.steps for row in rows})
    if len(steps) < 4:
        return
    x = np.array(steps[-3:], dtype=float)
    for name, power, lift, text in (
        ("Direct", 1.0, 0.55, "as the steps"),
        ("RecursiveCheckpoint()", 0.5, 1.7, "as their root"),
    ):
        anchor = next(row.peak_bytes / 2**20 for row in rows if (row.candidate, row.steps) == (name, steps[-3]))
        y = lift * anchor * (x / x[0]) ** power
        axes.plot(x, y, color="#8C8C8C", linewidth=1.2, linestyle=":")
        above = lift > 1
        axes.annotate(
            text,
            (x[1], y[1]),
            xytext=(-4, 6) if above else (6, -4),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            fontsize=8.5,
            color=INK,
        )
