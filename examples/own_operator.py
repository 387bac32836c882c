"""Benchmark an operator of your own against the built-in ones.

It need only be an ``nn.Module`` that obeys the interface of ``sciml.operators``: ``channels``, ``normalization``,
``config`` and ``forward(t, dt, u) -> Step`` in physical units. Training, checkpoints, rollouts and scores follow.

Run: python examples/own_operator.py --out runs/own_operator
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor, nn

from sciml import Normalization, Trajectories
from sciml.benchmark import CANDIDATES, BenchSettings, Candidate, run, write_report
from sciml.benchmark.figures import accuracy_cost
from sciml.generation.families.burgers import BURGERS_1D
from sciml.generation.make import make
from sciml.generation.recipe import Recipe
from sciml.operators.physical import advance, channel_dicts, check_field, dynamic_channels, parse_channels
from sciml.solvers import Step


class DilatedNet(nn.Module):
    """Periodic convolutions of growing dilation in one dimension.

    After K. Stachenfeld et al., "Learned Coarse Models for Efficient Turbulence Simulation", 2022.
    """

    def __init__(self, channels: Any, *, width: int = 32, dilations: tuple[int, ...] = (1, 2, 4, 8, 4, 2, 1)) -> None:
        super().__init__()
        self.channels = parse_channels(channels)
        self.normalization = Normalization(len(self.channels))
        self.config = {"channels": channel_dicts(self.channels), "width": width, "dilations": list(dilations)}
        self.lift = nn.Conv1d(len(self.channels) + 1, width, 1)  # the fields, and the relative time step
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, padding_mode="circular")
            for dilation in dilations
        )
        self.head = nn.Conv1d(width, len(dynamic_channels(self.channels)), 1)

    def forward(self, t: Tensor, dt: Tensor, u: Tensor) -> Step:
        """The state after dt, in the units of ``u``."""
        check_field(u, dt, self.channels, 1)
        y = advance(self._increment, dt, u, channels=self.channels, normalization=self.normalization)
        return Step(y=y)

    def _increment(self, u: Tensor, lead: Tensor) -> Tensor:
        """Normalised fields and relative time step in, normalised increment out."""
        step = lead.to(u.dtype)[:, None, None].expand(-1, 1, u.shape[-1])
        x = self.lift(torch.cat([u, step], dim=1))
        for layer in self.layers:
            x = x + layer(torch.relu(x))
        return self.head(x)


def _build(train: Trajectories) -> DilatedNet:
    return DilatedNet(train.channels)


def main(out: Path = Path("runs/own_operator"), small: bool = False) -> None:
    """Write ``report.html``, ``accuracy_cost.png``, the rows and the trained operators to OUT."""
    recipe = Recipe(BURGERS_1D, trajectories=6 if small else 60, size=32 if small else 128, frames=11)
    data = make(recipe, out / "burgers.h5")
    mine = Candidate("dilated", "dilated convolutions", _build)
    candidates = [CANDIDATES["persistence"], CANDIDATES["dmd"], mine, *([] if small else [CANDIDATES["unet"]])]
    rows = run([data], candidates, out, BenchSettings(steps=2 if small else 800))
    for row in rows:
        print(f"{row.operator:>12}  nRMSE of the rollout {row.metrics['rollout/nRMSE']:.3f}")
    accuracy_cost(rows).savefig(out / "accuracy_cost.png")
    print(write_report(rows, out))


if __name__ == "__main__":
    typer.run(main)
