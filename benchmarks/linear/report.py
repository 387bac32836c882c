"""Tables and pictures of the studies."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from sciml.plots import style

_SHOWN = ("Young", "ChebCB", "Tsallis-INF, binned", "best fixed", "Tsallis-INF", "omega 1.8", "omega 1.6")


def write_report(out: Path) -> str:
    """report.md and the pictures of what there is; returns the text."""
    lines = [
        "# Solvers that tune themselves",
        "",
        "`python -m benchmarks.linear.run`; what it is about is at its head.",
    ]
    if (out / "offsets.json").exists():
        offsets = json.loads((out / "offsets.json").read_text())
        lines += offsets_table(offsets)
        draw_offsets(offsets, out / "offsets.png")
    runs = [json.loads(path.read_text()) for path in out.glob("heat-*.json")]
    if runs:
        runs.sort(key=lambda run: run["nx"])
        lines += heat_tables(runs)
        draw_heat(runs, out / "heat.png")
        draw_actions(runs[-1], out / "heat-actions.png")
    if (out / "beyond.json").exists():
        lines += beyond_tables(json.loads((out / "beyond.json").read_text()))
    text = "\n".join([*lines, ""])
    (out / "report.md").write_text(text)
    return text


def offsets_table(found: dict[str, Any]) -> list[str]:
    """Iterations a system, in the order of the totals for offsets of high variance."""
    rounds = found["rounds"]
    lines = [
        "", "## Random offsets, SOR", "",
        f"Iterations a system over {rounds} systems, mean and standard deviation of {found['trials']} trials, and in "
        "the last fifth.", "",
        "| | high variance | last fifth | low variance | last fifth |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in sorted(found["high"], key=lambda name: sum(found["high"][name]["totals"])):
        cells = []
        for variance in ("high", "low"):
            row = found[variance][name]
            cells += [_mean([total / rounds for total in row["totals"]]), f"{row['last']:.1f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def heat_tables(runs: list[dict[str, Any]]) -> list[str]:
    """Total iterations, and seconds of the whole simulation, by the grid."""
    names = list(dict.fromkeys(name for run in runs for name in run["methods"]))
    header = "| | " + " | ".join(f"nx = {run['nx']}" for run in runs) + " |"
    lines = ["", "## Heat with a swinging conductivity, SSOR-PCG"]
    for title, key, scale in (("Total iterations, thousands", "iterations", 1e-3), ("Seconds", "seconds", 1.0)):
        lines += ["", f"{title}, of {runs[0]['steps']} steps:", "", header, "|---|" + "---|" * len(runs)]
        for name in names:
            cells = [_mean([row[key] * scale for row in run["methods"].get(name, []) if row.get(key)]) for run in runs]
            if any(cells):
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def beyond_tables(found: dict[str, Any]) -> list[str]:
    """Seconds by the way to choose, and by who learns."""
    grids = list(dict.fromkeys((row["nx"], row["steps"]) for row in found["joint"]))
    lines = [
        "", "## The method learnt with omega", "",
        "Seconds of the heat simulation; in brackets the share of steps in which multigrid was chosen.", "",
        "| | " + " | ".join(f"nx = {nx}, {steps} steps" for nx, steps in grids) + " |", "|---|" + "---|" * len(grids),
    ]  # fmt: skip
    for name in dict.fromkeys(row["method"] for row in found["joint"]):
        cells = []
        for grid in grids:
            rows = [row for row in found["joint"] if (row["nx"], row["steps"]) == grid and row["method"] == name]
            share = [row["multigrid"] for row in rows if "multigrid" in row]
            cells.append(
                _mean([row["seconds"] for row in rows]) + (f" ({statistics.mean(share):.2f})" if share else "")
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "", "## A learner that a batch shares", "",
        "Simulations of different conductivities, each with a ChebCB of its own, one after another, or all at once "
        "with one.", "",
        "| nx | simulations | | iterations a system | milliseconds a system |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in found["shared"]:
        systems = row["steps"] * row["count"]
        cost = f"{row['iterations'] / systems:.3f} | {1e3 * row['seconds'] / systems:.3f}"
        lines.append(f"| {row['nx']} | {row['count']} | {row['method']} | {cost} |")
    return lines


def draw_offsets(found: dict[str, Any], path: Path) -> None:
    """Regret to Young's omega against rounds, for both variances."""
    figure = style.new_figure(9.0, 4.0)
    for axes, variance in zip(figure.subplots(1, 2), ("high", "low")):
        style.dress(axes, xlabel=f"systems, {variance} variance", ylabel="thousand iterations beyond Young's omega")
        base = np.array(found[variance]["Young"]["curve"])
        for k, name in enumerate(_SHOWN[1:]):
            curve = (np.array(found[variance][name]["curve"]) - base) / 1e3
            axes.plot(found["at"], curve, color=style.COLOURS[k], label=name)
        axes.set_ylim(0, None)
    style.label_above(figure.axes[0], columns=2)
    figure.savefig(path)


def draw_heat(runs: list[dict[str, Any]], path: Path) -> None:
    """Total iterations and seconds against the unknowns."""
    figure = style.new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    style.dress(left, xlabel="unknowns", ylabel="total iterations")
    style.dress(right, xlabel="unknowns", ylabel="seconds over those of plain CG")
    names = [name for name in runs[-1]["methods"] if not name.startswith("omega 1.3")]
    for k, name in enumerate(names):
        look = {"color": style.COLOURS[k % 7], "marker": style.MARKERS[k % 7], "linestyle": "-" if k < 7 else "--"}
        for axes, key in ((left, "iterations"), (right, "seconds")):
            points = [(run, run["methods"].get(name, [{}])) for run in runs]
            kept = [(run, rows) for run, rows in points if rows[0].get(key)]
            y = [statistics.mean(row[key] for row in rows) for _, rows in kept]
            if key == "seconds":
                y = [value / run["methods"]["CG"][0][key] for value, (run, _) in zip(y, kept)]
            axes.plot([(run["nx"] - 1) ** 2 for run, _ in kept], y, label=name, **look)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
    style.label_above(left, columns=2)
    figure.savefig(path)


def draw_actions(run: dict[str, Any], path: Path) -> None:
    """What ChebCB chose, and what it paid, over the steps."""
    figure = style.new_figure(8.0, 4.0)
    above, below = figure.subplots(2, 1, sharex=True)
    style.dress(above, xlabel="", ylabel="omega", title=f"ChebCB at nx = {run['nx']}")
    style.dress(below, xlabel="step", ylabel="iterations")
    above.plot(run["ChebCB"]["omegas"], ".", markersize=1.5, color=style.COLOURS[0])
    below.plot(run["ChebCB"]["iterations"], linewidth=0.6, color=style.COLOURS[1])
    figure.savefig(path)


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean
