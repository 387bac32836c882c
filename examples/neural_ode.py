"""Fit a neural ordinary differential equation to spirals that were observed at irregular times.

Every trajectory has its own times; all are solved in one batch, and each keeps its own steps. What is fitted are short
pieces of the trajectories, from random observations on, and the loss is differentiated through the solver.

Run: python examples/neural_ode.py --out runs/neural_ode
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from matplotlib.figure import Figure
from torch import Tensor, nn

from sciml import TSIT5, PIDController, RungeKutta, solve
from sciml.plots import style

TOLERANCE = PIDController(rtol=1e-4, atol=1e-5)
PIECE = 6  # observations that are fitted at once


class Spiral(nn.Module):
    """The truth: a cubic oscillator with damping, dy/dt = A y^3."""

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return y**3 @ torch.tensor([[-0.1, -2.0], [2.0, -0.1]], dtype=y.dtype)


class LearnedField(nn.Module):
    """A vector field (t, y) -> dy/dt that knows nothing of cubes."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers = [nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2)]
        self.network = nn.Sequential(*layers)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.network(y)


def observe(count: int, times: int) -> tuple[Tensor, Tensor]:
    """Irregular times (batch, time), each trajectory its own, and noisy states (batch, time, 2)."""
    angle = 2 * torch.pi * torch.rand(count)
    radius = 0.8 + 0.7 * torch.rand(count)
    start = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    ts = torch.cat([torch.zeros(count, 1), 4 * torch.rand(count, times - 1).sort(dim=1).values + 0.01], dim=1)
    ys = solve(RungeKutta(Spiral(), TSIT5), start, ts, TOLERANCE).ys
    return ts, ys + 0.01 * torch.randn_like(ys)


def pieces(ts: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """``PIECE`` consecutive observations of each trajectory, from a random one on."""
    rows = torch.arange(len(ts))[:, None]
    columns = torch.randint(ts.shape[1] - PIECE + 1, (len(ts), 1)) + torch.arange(PIECE)
    return ts[rows, columns], ys[rows, columns]


def main(out: Path = Path("runs/neural_ode"), small: bool = False) -> None:
    """Write ``spiral.png`` to OUT."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    ts, ys = observe(count=4 if small else 32, times=32)
    stepper = RungeKutta(LearnedField(), TSIT5)
    optimiser = torch.optim.Adam(stepper.parameters(), lr=2e-2)
    iterations = 5 if small else 600
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for iteration in range(iterations):
        t, y = pieces(ts, ys)
        solution = solve(stepper, y[:, 0], t, TOLERANCE)
        loss = (solution.ys - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if iteration % 50 == 0 or iteration == iterations - 1:
            steps = solution.statistics.accepted
            print(f"{iteration:4d}  loss {loss:.2e}  steps {steps.min()} to {steps.max()} a piece")
    draw(stepper, ts, ys).savefig(out / "spiral.png")


@torch.no_grad()
def draw(stepper: RungeKutta, ts: Tensor, ys: Tensor) -> Figure:
    """Observations, the truth and the fit: two trajectories that were fitted, and one start that was not."""
    starts = torch.cat([ys[:2, 0], torch.tensor([[-1.1, 0.7]])])
    fine = torch.linspace(0, 4, 400)
    truth, fit = (solve(s, starts, fine, TOLERANCE).ys for s in (RungeKutta(Spiral(), TSIT5), stepper))
    figure = style.new_figure(10, 3.7)
    for k, (axis, title) in enumerate(zip(figure.subplots(1, 3), ("fitted", "fitted", "a new start"))):
        style.dress(axis, xlabel="$y_1$", ylabel="$y_2$", title=title)
        axis.plot(*truth[k].T, color=style.TRUTH, linewidth=2, label="truth")
        axis.plot(*fit[k].T, color=style.COLOURS[1], linestyle="--", linewidth=1.6, label="neural ODE")
        if k < 2:
            axis.plot(*ys[k].T, "o", markersize=4, color=style.COLOURS[0], label="observed")
        axis.set(aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        axis.legend(frameon=False, fontsize=8, loc="center")
    return figure


if __name__ == "__main__":
    typer.run(main)
