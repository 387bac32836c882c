"""Thousands of stiff reactors at temperatures of their own, solved by one compiled function.

Robertson's three reactions, the second 10^9 times as fast as the first, which here depends on temperature. Each reactor
is a sample with its own temperature, and so its own steps; a Rosenbrock method of order 5 takes them. The same call
without ``compiled=True`` takes the same steps, some twenty times slower.

Run: python examples/reactors.py --out runs/reactors
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor

from sciml import PIDController, solve
from sciml.plots import style
from sciml.solvers import PerSample, Rosenbrock
from sciml.solvers.implicit.tableaus.rodas5p import RODAS5P

REFERENCE = 300.0  # K, at which the rates are Robertson's


def kinetics(t: Tensor, y: Tensor, temperature: Tensor) -> Tensor:
    """Slopes of the concentrations (batch, 3) at temperatures (batch,) in K."""
    a, b, c = y.unbind(1)
    faster = torch.exp(8000.0 * (1 / REFERENCE - 1 / temperature))  # activation temperature 8000 K
    slow, back, fast = 0.04 * faster * a, 1e4 * b * c, 3e7 * b * b
    return torch.stack([back - slow, slow - back - fast, fast], dim=1)


def main(out: Path = Path("runs/reactors"), small: bool = False) -> None:
    """Write ``reactors.png`` to OUT."""
    out.mkdir(parents=True, exist_ok=True)
    temperature = torch.linspace(270, 390, 16 if small else 4096, dtype=torch.float64)
    y0 = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64).expand(len(temperature), 3)
    ts = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-4, 5, 60, dtype=torch.float64)])
    stepper, controller = Rosenbrock(kinetics, RODAS5P), PIDController(rtol=1e-6, atol=1e-10)
    for attempt in ("with compiling", "again"):
        begin = time.perf_counter()
        solution = solve(stepper, y0, ts, controller, args=(PerSample(temperature),), compiled=True)
        print(f"{len(y0)} reactors, {attempt}: {time.perf_counter() - begin:.2f} s")
    steps = solution.statistics.accepted
    print(f"steps {steps.min()} to {steps.max()}; mass lost at most {(solution.ys.sum(2) - 1).abs().max():.1e}")
    draw(temperature, ts, solution.ys).savefig(out / "reactors.png")


def draw(temperature: Tensor, ts: Tensor, ys: Tensor) -> Figure:
    """The course of the coldest, a middle and the hottest reactor, and the product of all of them."""
    figure = style.new_figure(10, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    style.dress(left, xlabel="time", ylabel="concentration", title="A (solid) and C (dashed)")
    for k, row in enumerate((0, len(ys) // 2, -1)):
        color, label = style.COLOURS[k], f"{temperature[row]:.0f} K"
        left.plot(ts[1:], ys[row, 1:, 0], color=color, label=label)
        left.plot(ts[1:], ys[row, 1:, 2], "--", color=color)
    left.set_xscale("log")
    left.legend(frameon=False, fontsize=8)
    style.dress(right, xlabel="time", ylabel="temperature [K]", title="C")
    mesh = right.pcolormesh(ts[1:], temperature, ys[:, 1:, 2], shading="nearest")
    right.set_xscale("log")
    figure.colorbar(mesh, ax=right)
    return figure


if __name__ == "__main__":
    typer.run(main)
