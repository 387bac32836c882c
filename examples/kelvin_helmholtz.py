"""Simulate the Kelvin-Helmholtz instability of a compressible gas twice: with a first- and a second-order scheme.

On the same cells the first-order scheme smears the billows away before they roll up.

Run: python examples/kelvin_helmholtz.py --out runs/kelvin_helmholtz
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor

from sciml import FixedStep, solve
from sciml.plots import animate, style
from sciml.plots.fields import colours_of, draw_plane
from sciml.solvers.equations.euler import Euler
from sciml.solvers.equations.euler_initial import kelvin_helmholtz
from sciml.solvers.finite_volume import MUSCL, PiecewiseConstant, Reconstruction
from sciml.solvers.ideal_gas import to_conserved


def simulate(start: Tensor, ts: Tensor, reconstruction: Reconstruction) -> Tensor:
    """Frames (time, channel, x, y) of density, velocities and pressure; each takes as many substeps as it needs."""
    stepper = Euler(spacing=1 / start.shape[-1], reconstruction=reconstruction)
    solution = solve(stepper, start, ts, FixedStep(float(ts[1])))
    print(f"{type(reconstruction).__name__}: {int(solution.statistics.evaluations)} evaluations of the fluxes")
    return solution.ys[0]


def main(out: Path = Path("runs/kelvin_helmholtz"), small: bool = False) -> None:
    """Write ``density.gif`` and ``density.png`` to OUT."""
    out.mkdir(parents=True, exist_ok=True)
    cells, end, frames = (16, 0.1, 4) if small else (96, 2.0, 41)
    ts = torch.linspace(0, end, frames, dtype=torch.float64)
    start = kelvin_helmholtz(1, cells, torch.Generator().manual_seed(3), width=0.02, amplitude=0.02)
    first, second = simulate(start, ts, PiecewiseConstant()), simulate(start, ts, MUSCL())

    total = to_conserved(second, 1.4).double().mean(dim=(2, 3))  # (time, channel): mass, momentum, energy
    drift = (total / total[0] - 1).abs().amax(dim=0)
    print(f"relative drift, to float32 rounding: mass {drift[0]:.1e}, energy {drift[-1]:.1e}")

    animate(out / "density.gif", second, None, ts, label="density")
    draw(second[:, 0], first[:, 0], ts).savefig(out / "density.png")


def draw(second: Tensor, first: Tensor, ts: Tensor) -> Figure:
    """Densities (time, x, y) of both at four times."""
    shown = torch.linspace(0, len(ts) - 1, 4).long().tolist()
    colours, limits = colours_of(second.numpy())
    figure = style.new_figure(9, 4.4)
    axes = figure.subplots(2, len(shown))
    for row, name, frames in zip(axes, ("second order (MUSCL)", "first order"), (second, first)):
        row[0].set_ylabel(name)
        images = [draw_plane(axis, frames[k].numpy(), colours, limits) for axis, k in zip(row, shown)]
    for axis, k in zip(axes[0], shown):
        axis.set_title(f"t = {float(ts[k]):.2g}", fontsize=11)
    figure.colorbar(images[-1], ax=axes, label="density")
    return figure


if __name__ == "__main__":
    typer.run(main)
