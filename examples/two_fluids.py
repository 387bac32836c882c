"""Heavy fluid over light: the front is unstable and rolls up. A bandit tunes the pressure's solver while it runs.

Each step solves for the pressure in a medium that has changed. The solver starts without knowing a good omega; what
each solve has cost is all it learns from.

Run: python examples/two_fluids.py --out runs/two_fluids
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor

from sciml import FixedStep, solve
from sciml.plots import animate, style
from sciml.plots.fields import colours_of, draw_plane
from sciml.solvers.bandits import Thompson
from sciml.solvers.courant import Courant
from sciml.solvers.equations.variable_density import VariableDensityFlow
from sciml.solvers.linear import SSORPCG, LinearSolution, Matrix


class Watched:
    """A solver that keeps what it chose and what it paid."""

    def __init__(self, solver: SSORPCG) -> None:
        self.solver = solver
        self.omegas: list[float] = []
        self.iterations: list[int] = []

    def __call__(
        self, matrix: Matrix, b: Tensor, x0: Tensor | None = None, *, context: float | Tensor | None = None
    ) -> LinearSolution:
        solution = self.solver(matrix, b, x0, context=context)
        self.omegas.append(float(solution.omega[0]))
        self.iterations.append(int(solution.iterations[0]))
        return solution


def layers(cells: int) -> Tensor:
    """Density 3 above, 1 below a rippled front, in a box twice as high as wide; velocities 0."""
    x, h = ((torch.arange(n, dtype=torch.float64) + 0.5) / cells for n in (cells, 2 * cells))
    front = 1 + 0.03 * torch.cos(2 * math.pi * x) + 0.01 * torch.cos(6 * math.pi * x)
    y = torch.zeros(1, 3, cells, 2 * cells, dtype=torch.float64)
    y[:, 2] = torch.where(h[None] > front[:, None], 3.0, 1.0)
    return y


def main(out: Path = Path("runs/two_fluids"), small: bool = False) -> None:
    """Write ``density.gif`` and ``two_fluids.png`` to OUT."""
    out.mkdir(parents=True, exist_ok=True)
    cells, end, frames = (8, 2.0, 4) if small else (64, 4.0, 41)
    solver = Watched(SSORPCG(Thompson(torch.linspace(1.0, 1.95, 20)), tol=1e-8))
    flow = VariableDensityFlow(spacing=1 / cells, gravity=(0.0, -1.0), viscosity=5e-4, solver=solver)
    ts = torch.linspace(0, end, frames, dtype=torch.float64)
    states = solve(Courant(flow), layers(cells), ts, FixedStep(float(ts[1]))).ys[0]  # (time, channel, x, height)

    mass = states[:, 2].sum((1, 2))
    print(f"relative drift of mass: {float((mass / mass[0] - 1).abs().max()):.1e}")
    first, later = solver.iterations[:20], solver.iterations[20:]  # each omega is tried once
    print(f"iterations a solve: {sum(first) / len(first):.1f} at first, then {sum(later) / len(later):.1f}")
    animate(out / "density.gif", states, None, ts, label="density", channel=2)
    draw(states[:, 2], ts, solver).savefig(out / "two_fluids.png")


def draw(density: Tensor, ts: Tensor, solver: Watched) -> Figure:
    """The density at four times, and what the bandit chose and paid."""
    shown = torch.linspace(0, len(ts) - 1, 4).long().tolist()
    colours, limits = colours_of(density.numpy())
    figure = style.new_figure(9, 4)
    grid = figure.add_gridspec(2, 6)
    planes = [figure.add_subplot(grid[:, k]) for k in range(len(shown))]
    for axes, k in zip(planes, shown):
        image = draw_plane(axes, density[k].numpy(), colours, limits)
        axes.set_title(f"t = {float(ts[k]):.2g}", fontsize=11)
    figure.colorbar(image, ax=planes, label="density")
    for row, (values, label) in enumerate(((solver.omegas, "omega"), (solver.iterations, "iterations"))):
        axes = style.dress(figure.add_subplot(grid[row, 4:]), xlabel="solve" if row else "", ylabel=label)
        axes.plot(values, ".", markersize=2, color=style.COLOURS[row])
    return figure


if __name__ == "__main__":
    typer.run(main)
